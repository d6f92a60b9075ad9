//! Templates as models ship them, rendered for bodies as clients send them.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::surface::openai::conversation;
use crate::wire::fields::Fields;

fn clock() -> Clock {
    Clock::manual(Duration::from_secs(1_767_312_000))
}

fn template(source: &str) -> ChatTemplate {
    let special_tokens = vec![("bos_token".into(), "<s>".into())];
    ChatTemplate::new(Templates::One(source.into()), special_tokens, &ChatTemplateConfig::default(), &clock()).unwrap()
}

fn conversation(body: &serde_json::Value) -> Conversation {
    conversation::read(Fields(body.as_object().unwrap()))
}

fn rendered(source: &str, body: serde_json::Value) -> String {
    template(source).render(&conversation(&body)).unwrap_or_else(|error| panic!("{error:?}"))
}

const SIMPLE: &str =
    "{{ bos_token }}{% for message in messages %}[{{ message.role }}] {{ message['content'] }}\n{% endfor %}
{%- if add_generation_prompt %}[assistant]{% endif %}";

#[test]
fn messages_and_the_generation_prompt_come_in_order() {
    let body =
        json!({ "messages": [{ "role": "system", "content": "Be brief." }, { "role": "user", "content": "Hi" }] });
    assert_eq!(rendered(SIMPLE, body), "<s>[system] Be brief.\n[user] Hi\n[assistant]");
}

#[test]
fn a_message_can_be_continued() {
    let messages = json!([{ "role": "user", "content": "Hi" }, { "role": "assistant", "content": " Hello, " }]);
    let body = json!({ "messages": messages, "add_generation_prompt": false, "continue_final_message": true });
    assert_eq!(rendered(SIMPLE, body), "<s>[user] Hi\n[assistant]  Hello,");
    let both = json!({ "messages": messages, "continue_final_message": true });
    assert!(template(SIMPLE).render(&conversation(&both)).is_err());
}

#[test]
fn parts_are_joined_for_a_template_that_wants_a_text_and_kept_for_one_that_loops() {
    let parts = json!([{ "type": "text", "text": "a" }, { "type": "image_url", "image_url": { "url": "x" } }, "b"]);
    let body = json!({ "messages": [{ "role": "user", "content": parts }], "add_generation_prompt": false });
    assert_eq!(rendered("{{ messages[0].content }}", body.clone()), "a\nb");
    let loops = "{% for part in messages[0]['content'] %}{{ part.type }}={{ part.text }};{% endfor %}";
    assert_eq!(rendered(loops, body), "text=a;image=;text=b;");
    let plain = json!({ "messages": [{ "role": "user", "content": "a" }] });
    assert_eq!(rendered(loops, plain), "text=a;");
}

/// As Python's `json.dumps`: spaces, the client's order of keys, no escapes of letters.
#[test]
fn tools_and_arguments_are_json_as_python_writes_it() {
    let parameters = json!({ "type": "object", "properties": { "é": { "type": "string" } } });
    let body = format!(
        r#"{{"messages": [{{"role": "assistant", "content": null, "tool_calls": [
             {{"id": "1", "type": "function", "function": {{"name": "f", "arguments": "{{\"z\": 1.0, \"a\": [1, 2]}}"}}}}]}}],
           "tools": [{{"type": "function", "function": {{"parameters": {parameters}, "name": "f"}}}}]}}"#
    );
    let source =
        "{{ tools[0] | tojson }}|{{ messages[0].tool_calls[0].function.arguments | tojson }}|{{ messages[0].content }}";
    assert_eq!(
        template(source).render(&conversation(&serde_json::from_str(&body).unwrap())).unwrap(),
        r#"{"type": "function", "function": {"name": "f", "description": null, "parameters": {"type": "object", "properties": {"é": {"type": "string"}}}}}|{"z": 1.0, "a": [1, 2]}|"#
    );
    let empty = || json!({ "messages": [] });
    assert_eq!(rendered("{{ [1] | tojson(indent=2) }}", empty()), "[\n  1\n]");
    assert_eq!(rendered("{{ {'a': [1, 2]} | tojson(separators=(',', ':')) }}", empty()), r#"{"a":[1,2]}"#);
    assert_eq!(rendered("{{ ['é'] | tojson(ensure_ascii=False, sort_keys=False) }}", empty()), r#"["é"]"#);
    assert!(template("{{ [] | tojson(sort_keys=true) }}").render(&Conversation::new(Vec::new())).is_err());
}

#[test]
fn python_methods_and_arguments_of_the_request_are_there() {
    let body =
        json!({ "messages": [{ "role": "user", "content": "a</think>b" }], "chat_template_kwargs": { "loud": true } });
    let source = "{{ messages[0].content.split('</think>')[-1] }}{% if loud is defined and loud %}!{% endif %}";
    assert_eq!(rendered(source, body), "b!");
}

#[test]
fn a_template_can_ask_for_the_date() {
    let date = rendered("{{ strftime_now('%Y-%m-%d') }}", json!({ "messages": [] }));
    assert_eq!(date, "2026-01-02", "as the engine's clock shows it");
    let error = template("{{ strftime_now('%') }}").render(&Conversation::new(Vec::new())).unwrap_err();
    assert!(error.to_string().contains("strftime_now"), "{error}");
}

#[test]
fn a_template_can_refuse() {
    let source = "{% if messages[0].role != 'user' %}{{ raise_exception('the user begins') }}{% endif %}";
    let body = json!({ "messages": [{ "role": "system", "content": "x" }] });
    let error = template(source).render(&conversation(&body)).unwrap_err();
    assert_eq!(error.to_string(), "the chat template refuses the messages: the user begins");
}

#[test]
fn another_template_is_taken_where_tools_are_offered() {
    let named = |name: &str| NamedTemplate { name: name.into(), template: name.into() };
    let template = ChatTemplate::new(
        Templates::Several(vec![named("default"), named("tool_use")]),
        Vec::new(),
        &ChatTemplateConfig::default(),
        &clock(),
    )
    .unwrap();
    let render = |body: serde_json::Value| template.render(&conversation(&body)).unwrap();
    assert_eq!(render(json!({ "messages": [] })), "default");
    let tools = json!([{ "type": "function", "function": { "name": "f" } }]);
    assert_eq!(render(json!({ "messages": [], "tools": tools })), "tool_use");
}

/// What `chat-template-content-format` and `default-chat-template-kwargs` say.
#[test]
fn the_server_may_decide_on_content_and_variables() {
    let source = "{{ messages[0].content is string }} {{ extra }}";
    let rendered = |content_format, body: serde_json::Value| {
        let kwargs = serde_json::Map::from_iter([("extra".to_owned(), json!("server's"))]);
        let config = ChatTemplateConfig { content_format, kwargs, ..Default::default() };
        let template = ChatTemplate::new(Templates::One(source.into()), Vec::new(), &config, &clock()).unwrap();
        template.render(&conversation(&body)).unwrap()
    };
    let messages = json!([{ "role": "user", "content": "a" }]);
    let body = json!({ "messages": messages });
    assert_eq!(rendered(None, body.clone()), "True server's");
    assert_eq!(rendered(Some(ContentFormat::Parts), body.clone()), "False server's");
    let own = json!({ "messages": messages, "chat_template_kwargs": { "extra": "request's" } });
    assert_eq!(rendered(Some(ContentFormat::Text), own), "True request's");
}
