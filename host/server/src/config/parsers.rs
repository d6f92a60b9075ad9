//! The parsers of tool calls and of reasoning that vLLM 0.33 has, by name. Nothing is parsed here.

use crate::nearest::nearest;

/// What a parser finds in a model's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ParserKind {
    ToolCall,
    Reasoning,
}

const TOOL_CALL: &str = "dots deepseek_v3 deepseek_v31 deepseek_v32 deepseek_v4 deepseek_v41 cohere_command3 \
    cohere_command4 ernie45 glm45 glm47 ling3 granite-20b-fc granite granite4 hermes hf beam poolside_v1 hunyuan_a13b \
    hy_v3 hy_v4 internlm jamba lfm2 kimi_k2 kimi_k3 k2_horizon llama3_json llama4_json llama4_pythonic longcat mimo \
    minimax_m2 minimax_m3 minicpm5 mistral olmo3 plamo3 muse muse_glimmer musespark1x openai phi4_mini_json pythonic \
    qwen3_coder qwen3_json qwen3_xml seed_oss step3 step3p5 step5 inkling xlam gigachat3 functiongemma gemma4 apertus";

const REASONING: &str = "deepseek_r1 deepseek_v3 deepseek_v4 deepseek_v41 poolside_v1 cohere_command3 cohere_command4 \
    ernie45 gemma4 glm45 glm47 ling3 openai_gptoss granite granite_thinking_parser hf beam holo2 hunyuan_a13b hy_v3 \
    hy_v4 kimi_k2 kimi_k3 k2_horizon mimo minicpmv minimax_m2 minimax_m2_append_think minimax_m3 mistral nemotron_v3 \
    olmo3 plamo3 muse muse_glimmer musespark1x qwen3 seed_oss step3 step3p5 step5 inkling";

/// What to say of a name that vLLM does not have; `None` if it has it.
pub(super) fn unknown(kind: ParserKind, name: &str) -> Option<String> {
    let known = match kind {
        ParserKind::ToolCall => TOOL_CALL,
        ParserKind::Reasoning => REASONING,
    };
    let is_known = known.split_whitespace().any(|known| known == name);
    let hint = || nearest(name, known.split_whitespace()).map(|near| format!("; did you mean {near}?"));
    (!is_known).then(|| format!("{name:?} is no parser of vLLM 0.33{}", hint().unwrap_or_default()))
}
