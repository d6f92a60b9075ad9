// The official openai-go package. Servers are named by the environment; see tests/e2e/clients.rs.
package clients

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
	"github.com/openai/openai-go/v3/shared"
)

const text = "one two three"

var messages = []openai.ChatCompletionMessageParamUnion{openai.UserMessage(text)}

func connect(name string) openai.Client {
	return openai.NewClient(
		option.WithBaseURL(os.Getenv(name)+"/v1"), option.WithAPIKey("none"), option.WithMaxRetries(0))
}

func equal[T comparable](t *testing.T, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestModels(t *testing.T) {
	client := connect("ECHO_URL")
	models, err := client.Models.List(context.Background())
	ok(t, err)
	equal(t, models.Data[0].ID, "m")
}

func TestChat(t *testing.T) {
	client := connect("ECHO_URL")
	answer, err := client.Chat.Completions.New(
		context.Background(), openai.ChatCompletionNewParams{Model: "m", Messages: messages})
	ok(t, err)
	equal(t, answer.Choices[0].Message.Content, text)
	equal(t, answer.Choices[0].FinishReason, "stop")
	equal(t, answer.Usage.TotalTokens, 6)
}

func TestChatStream(t *testing.T) {
	client := connect("ECHO_URL")
	stream := client.Chat.Completions.NewStreaming(context.Background(), openai.ChatCompletionNewParams{
		Model: "m", Messages: messages,
		StreamOptions: openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)},
	})
	whole := openai.ChatCompletionAccumulator{}
	for stream.Next() {
		if !whole.AddChunk(stream.Current()) {
			t.Fatal("a chunk does not fit to those before it")
		}
	}
	ok(t, stream.Err())
	equal(t, whole.Choices[0].Message.Content, text)
	equal(t, whole.Choices[0].FinishReason, "stop")
	equal(t, whole.Usage.CompletionTokens, 3)
}

var parameters = shared.FunctionParameters{
	"type":       "object",
	"properties": map[string]any{"city": map[string]string{"type": "string"}},
	"required":   []string{"city"},
}

func TestToolsThereAndBack(t *testing.T) {
	client := connect("RANDOM_URL")
	weather := openai.FunctionDefinitionParam{Name: "weather", Parameters: parameters}
	params := openai.ChatCompletionNewParams{
		Model: "m", Messages: messages,
		Tools:      []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(weather)},
		ToolChoice: openai.ChatCompletionToolChoiceOptionUnionParam{OfAuto: openai.String("required")},
	}
	answer, err := client.Chat.Completions.New(context.Background(), params)
	ok(t, err)
	message := answer.Choices[0].Message
	equal(t, answer.Choices[0].FinishReason, "tool_calls")
	params.Messages = append(messages, message.ToParam())
	for _, call := range message.ToolCalls {
		var arguments struct{ City *string }
		ok(t, json.Unmarshal([]byte(call.Function.Arguments), &arguments))
		equal(t, arguments.City != nil, true)
		params.Messages = append(params.Messages, openai.ToolMessage("Rain.", call.ID))
	}
	params.ToolChoice = openai.ChatCompletionToolChoiceOptionUnionParam{OfAuto: openai.String("none")}
	answer, err = client.Chat.Completions.New(context.Background(), params)
	ok(t, err)
	equal(t, answer.Choices[0].Message.Content != "", true)
}

func TestAnAnswerOfASchema(t *testing.T) {
	client := connect("RANDOM_URL")
	format := shared.ResponseFormatJSONSchemaJSONSchemaParam{Name: "visit", Schema: parameters, Strict: openai.Bool(true)}
	answer, err := client.Chat.Completions.New(context.Background(), openai.ChatCompletionNewParams{
		Model: "m", Messages: messages,
		ResponseFormat: openai.ChatCompletionNewParamsResponseFormatUnion{
			OfJSONSchema: &shared.ResponseFormatJSONSchemaParam{JSONSchema: format},
		},
	})
	ok(t, err)
	var visit struct{ City *string }
	ok(t, json.Unmarshal([]byte(answer.Choices[0].Message.Content), &visit))
	equal(t, visit.City != nil, true)
}

func TestCompletions(t *testing.T) {
	client := connect("ECHO_URL")
	params := openai.CompletionNewParams{
		Model: "m", Prompt: openai.CompletionNewParamsPromptUnion{OfString: openai.String(text)},
	}
	stream := client.Completions.NewStreaming(context.Background(), params)
	var said strings.Builder
	for stream.Next() {
		said.WriteString(stream.Current().Choices[0].Text)
	}
	ok(t, stream.Err())
	equal(t, said.String(), text)
	params.MaxTokens = openai.Int(2)
	answer, err := client.Completions.New(context.Background(), params)
	ok(t, err)
	equal(t, answer.Choices[0].Text, "one two ")
	equal(t, answer.Choices[0].FinishReason, openai.CompletionChoiceFinishReasonLength)
}

func TestResponses(t *testing.T) {
	client := connect("ECHO_URL")
	params := responses.ResponseNewParams{
		Model: "m", Input: responses.ResponseNewParamsInputUnion{OfString: openai.String(text)},
	}
	answer, err := client.Responses.New(context.Background(), params)
	ok(t, err)
	equal(t, answer.OutputText(), text)
	equal(t, answer.Status, responses.ResponseStatusCompleted)
	equal(t, answer.Usage.TotalTokens, 6)

	stream := client.Responses.NewStreaming(context.Background(), params)
	var said strings.Builder
	last := ""
	for stream.Next() {
		last = stream.Current().Type
		if delta, is := stream.Current().AsAny().(responses.ResponseTextDeltaEvent); is {
			said.WriteString(delta.Delta)
		}
	}
	ok(t, stream.Err())
	equal(t, said.String(), text)
	equal(t, last, "response.completed")
}

func TestEmbeddings(t *testing.T) {
	client := connect("RANDOM_URL")
	params := openai.EmbeddingNewParams{
		Model: "m", Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: []string{"one", "two"}},
	}
	for _, dimensions := range []int64{384, 8} {
		answer, err := client.Embeddings.New(context.Background(), params)
		ok(t, err)
		equal(t, len(answer.Data), 2)
		equal(t, int64(len(answer.Data[1].Embedding)), dimensions)
		params.Dimensions = openai.Int(8)
	}
}

func TestErrors(t *testing.T) {
	client := connect("ECHO_URL")
	for want, params := range map[int]openai.ChatCompletionNewParams{
		400: {Model: "m", Messages: messages, Temperature: openai.Float(3)},
		404: {Model: "gpt-9", Messages: messages},
	} {
		_, err := client.Chat.Completions.New(context.Background(), params)
		var refused *openai.Error
		equal(t, errors.As(err, &refused), true)
		equal(t, refused.StatusCode, want)
		equal(t, refused.Type != "", true)
	}
}
