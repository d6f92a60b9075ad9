//! What the macro makes of `wit/`: one union world that serves every kind of plugin. Each export is looked up by
//! itself, so that a plugin need not have them all.

#![allow(missing_docs, clippy::all, reason = "generated code")]

mod generated {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "rehearsal:host/every",
        inline: "package rehearsal:host;
            world every {
                include rehearsal:strategy/host@0.1.1;
                export rehearsal:strategy/lifecycle@0.1.1;
                export rehearsal:strategy/generator@0.1.1;
                export rehearsal:strategy/tool-caller@0.1.1;
                export rehearsal:strategy/failure-selector@0.1.1;
                export rehearsal:strategy/observer@0.1.1;
                export rehearsal:strategy/embedder@0.1.1;
            }",
        imports: {
            // May take long for a large text: they yield first, which moves the call off the serving threads.
            "rehearsal:strategy/tokenizer.count": async,
            "rehearsal:strategy/tokenizer.encode": async,
            "rehearsal:strategy/tokenizer.decode": async,
        },
        exports: { default: async },
    });
}

pub(crate) use generated::exports::rehearsal::strategy::{
    embedder, failure_selector, generator, lifecycle, observer, tool_caller,
};
pub(crate) use generated::rehearsal::strategy::{log, state, tokenizer, types};
