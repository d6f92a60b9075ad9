"""A small application on what vLLM is built on: what it answers by itself is what ours must answer.

It takes a port, and says when it listens."""

import sys

import uvicorn
from fastapi import FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware

app = FastAPI(docs_url=None, redoc_url=None)
app.add_middleware(CORSMiddleware, allow_origins=[], allow_credentials=False, allow_methods=["*"], allow_headers=["*"])


@app.get("/v1/models")
async def models():
    return {}


@app.post("/v1/chat/completions")
async def chat(request: Request):
    return await request.json()


@app.get("/v1/responses/{response_id}")
async def response(response_id: str):
    return {}


@app.post("/v1/responses/{response_id}/cancel")
async def cancel(response_id: str):
    return {}


@app.post("/ping")
@app.get("/ping")
async def ping():
    return {}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), http="httptools", log_level="error")
