//! Names that are accepted because what starts vLLM, or the reference simulator, must start this server too. They mean
//! nothing here, and the log says so once. Only what follows them matters, so that it is not taken for something else.

use super::key::Takes;

/// Flags of vLLM 0.33 that take nothing.
const SWITCHES: &str = "aggregate-engine-logging allow-deprecated-quantization cohere-is-reasoning-model \
    cudagraph-metrics data-parallel-external-lb data-parallel-hybrid-lb data-parallel-multi-port-external-lb \
    dcp-q-replicate disable-cascade-attn disable-chunked-mm-input disable-custom-all-reduce \
    disable-hybrid-kv-cache-manager disable-nccl-for-dp-synchronization disable-sliding-window \
    enable-batch-sharded-sampling enable-cumem-allocator enable-dbo enable-elastic-ep \
    enable-ep-weight-filter enable-eplb enable-expert-parallel enable-fault-tolerance \
    enable-flash-late-interaction enable-flashinfer-autotune enable-hc-sp enable-layerwise-nvtx-tracing \
    enable-log-deltas enable-log-outputs enable-logging-iteration-details enable-lora \
    enable-mamba-cache-stochastic-rounding enable-mamba-shared-prefix-checkpoint enable-mfu-metrics \
    enable-mixed-moe-lora-format enable-mm-embeds enable-mm-processor-stats enable-moe-shared-loras \
    enable-nccl-comm-suspend enable-offline-docs enable-prompt-embeds \
    enable-return-routed-experts enable-scale-out enable-shm-tensor-arena enable-sleep-mode \
    enable-tokenizer-info-endpoint enable-tower-connector-lora enable-trace-replay enforce-eager \
    exclude-tools-when-tool-choice-none fail-on-environ-validation fully-sharded-loras grpc headless \
    interleave-mm-strings jit-monitor-verbose kv-cache-metrics kv-sharing-fast-prefill language-model-only \
    log-error-stack long-prefill-token-threshold-adaptive mm-device-do-normalize mm-encoder-only monokernel \
    numa-bind ray-workers-use-nsight return-sampling-mask scheduler-reserve-full-isl \
    skip-mm-profiling skip-tokenizer-init sleep-mode-offload-cudagraph specialize-active-lora swa-bounded-replay \
    tokens-only trust-remote-code use-fp64-gumbel \
    use-replayssm use-tqdm-on-load";

/// Flags of vLLM 0.33 that take a value.
const VALUES: &str = "-api-process-count -api-process-rank all2all-backend allowed-local-media-path \
    anthropic-disabled-thinking-effort api-server-count attention-backend code-revision cohere-format \
    config-format convert cp-kv-cache-interleave-size cpu-distributed-timeout-seconds cpu-offload-gb \
    data-parallel-address data-parallel-backend data-parallel-rpc-port \
    data-parallel-supervisor-port dbo-decode-token-threshold \
    dbo-prefill-token-threshold dcp-comm-backend dcp-kv-cache-interleave-size decode-context-parallel-size \
    device-ids device-memory-utilization distributed-executor-backend distributed-timeout-seconds \
    dp-supervisor-probe-failure-threshold dp-supervisor-probe-interval-s dp-supervisor-probe-timeout-s \
    dp-sync-interval dtype elastic-ep-max-dp-size expert-placement-strategy fingerprint-mode fingerprint-value \
    gdn-prefill-backend generation-config gpu-memory-utilization grpc-port h11-max-header-count \
    h11-max-incomplete-event-size hf-config-path io-processor-plugin jit-monitor-mode kda-decode-backend \
    kda-prefill-backend kv-cache-dtype kv-cache-memory-bytes kv-cache-metrics-sample kv-offloading-backend \
    kv-offloading-size linear-backend load-format log-config-file logprobs-mode \
    lora-dtype mamba-backend mamba-block-size mamba-cache-dtype mamba-cache-mode mamba-cache-philox-rounds \
    mamba-ssm-cache-dtype mamba-ssu-algorithm master-addr master-port max-cudagraph-capture-size \
    max-lora-cls-labels max-lora-rank max-num-active-seqs max-num-queued-tokens \
    max-num-scheduled-tokens max-parallel-loading-workers middleware mm-encoder-attn-backend \
    mm-encoder-attn-dtype mm-encoder-fp8-scale-path mm-encoder-fp8-scale-save-margin \
    mm-encoder-fp8-scale-save-path mm-encoder-tp-mode mm-hasher-algorithm mm-ipc-gpu-memory-gb \
    mm-processor-cache-gb mm-processor-cache-type mm-processor-device mm-shm-cache-max-object-size-mb \
    mm-tensor-ipc model-impl model-weights moe-backend nnodes node-rank offload-backend offload-group-size \
    offload-num-in-group offload-prefetch-step optimization-level \
    per-request-spec-decode-metrics performance-mode pipeline-parallel-size prefill-context-parallel-size \
    prefill-schedule-interval prefix-cache-retention-interval prefix-match-unit quantization \
    renderer-num-workers replayssm-buffer-len revision runner safetensors-load-strategy \
    safetensors-prefetch-block-size safetensors-prefetch-num-threads scheduler-cls \
    show-hidden-metrics-for-version sleep-mode-backend sparse-indexer-topk-backend spec-method spec-model \
    spec-tokens ssl-ciphers tensor-parallel-size tokenizer-mode tokenizer-revision tool-server tool-strict-level \
    ubatch-size video-pruning-method video-pruning-rate watermark worker-cls worker-extension-cls";

/// Flags of vLLM 0.33 that take values up to the next flag.
const LISTS: &str = "allowed-media-domains collect-detailed-traces cpu-offload-params cudagraph-capture-sizes ignore-patterns \
    kv-cache-dtype-skip-layers logits-processors lora-target-modules numa-bind-cpus numa-bind-nodes \
    offload-params sleep-preserve-parameter-names";

/// Flags of vLLM 0.33 that take a JSON object, or parts of it.
const JSON: &str = "additional-config attention-config aux-output-config compilation-config custom-histogram-buckets \
    default-mm-loras diffusion-config ec-manager-config ec-transfer-config engram-config eplb-config \
    fault-tolerance-config hf-overrides ir-op-priority kernel-config kv-transfer-config limit-mm-per-prompt \
    logging-config mamba-config media-io-kwargs mm-processor-kwargs model-class-overrides \
    model-loader-extra-config pooler-config profiler-config pt-load-map-location quantization-config \
    reasoning-config reasoning-effort-map speculative-config structured-outputs-config watchdog-config \
    watermark-config weight-transfer-config";

/// Flags that vLLM had between 0.6 and 0.32 that take nothing.
const OLD_SWITCHES: &str = "calculate-kv-scales disable-async-output-proc disable-frontend-multiprocessing disable-log-requests \
    disable-logprobs-during-spec-decoding disable-mm-preprocessor-cache enable-bf16x3-router-gemm \
    enable-lora-bias enable-mamba-fine-grained-prefix-cache enable-multimodal-encoder-data-parallel \
    enable-prompt-adapter enable-reasoning engine-use-ray eplb-log-balancedness \
    expand-tools-even-if-tool-choice-none guided-decoding-disable-additional-properties \
    guided-decoding-disable-any-whitespace guided-decoding-disable-fallback mm-cache-preprocessor \
    multi-step-stream-outputs speculative-disable-mqa-scorer use-gpu-for-pooling-score use-v2-block-manager \
    worker-use-ray";

/// Flags that vLLM had between 0.6 and 0.32 that take a value.
const OLD_VALUES: &str = "chat-template-text-format device eplb-step-interval eplb-window-size guided-decoding-backend \
    logits-processor-pattern lora-extra-vocab-size max-context-len-to-capture max-long-partial-prefills \
    max-num-partial-prefills max-prompt-adapter-token max-prompt-adapters max-seq-len-to-capture \
    ngram-prompt-lookup-max ngram-prompt-lookup-min num-lookahead-slots num-redundant-experts \
    num-scheduler-steps num-speculative-tokens override-attention-dtype preemption-mode \
    qlora-adapter-name-or-path quantization-param-path rope-theta scheduler-delay-factor \
    spec-decoding-acceptance-method speculative-disable-by-batch-size speculative-draft-tensor-parallel-size \
    speculative-max-model-len speculative-model speculative-model-quantization swap-space task \
    tokenizer-pool-size tokenizer-pool-type typical-acceptance-sampler-posterior-alpha \
    typical-acceptance-sampler-posterior-threshold";

/// Flags that vLLM had between 0.6 and 0.32 that take values up to the next flag.
const OLD_LISTS: &str = "cuda-graph-sizes long-lora-scaling-factors prompt-adapters";

/// Flags that vLLM had between 0.6 and 0.32 that take a JSON object, or parts of it.
const OLD_JSON: &str = "override-neuron-config override-pooler-config rope-scaling tokenizer-pool-extra-config";

/// Flags of llm-d-inference-sim that take nothing.
const SIMULATOR_SWITCHES: &str =
    "dataset-in-memory legacy-stderr-threshold-behavior log-http omni skip-tool-validation";

/// Flags of llm-d-inference-sim that take a value.
const SIMULATOR_VALUES: &str = "alsologtostderrthreshold dataset-path dataset-table-name dataset-url \
    global-cache-hit-threshold image-emission-rate \
    mm-render-timeout render-timeout render-url time-to-generate-image time-to-generate-image-std-dev";

/// Names after one dash, and what they stand for.
const SHORTS: &[(&str, &str)] = &[
    ("O", "optimization-level"),
    ("ac", "attention-config"),
    ("asc", "api-server-count"),
    ("cc", "compilation-config"),
    ("dc", "diffusion-config"),
    ("dcp", "decode-context-parallel-size"),
    ("dpa", "data-parallel-address"),
    ("dpb", "data-parallel-backend"),
    ("dpe", "data-parallel-external-lb"),
    ("dph", "data-parallel-hybrid-lb"),
    ("dpm", "data-parallel-multi-port-external-lb"),
    ("dpp", "data-parallel-rpc-port"),
    ("ep", "enable-expert-parallel"),
    ("n", "nnodes"),
    ("pcp", "prefill-context-parallel-size"),
    ("pp", "pipeline-parallel-size"),
    ("q", "quantization"),
    ("r", "node-rank"),
    ("sc", "speculative-config"),
    ("spec-draft-tp", "speculative-draft-tensor-parallel-size"),
    ("tp", "tensor-parallel-size"),
];

/// Names that are known and refused, and what to do instead.
const REFUSED: &[(&str, &str)] = &[
    ("max-running-requests", "it was renamed in v0.2.0 of the simulator: write --max-num-seqs"),
    ("lora", "it was renamed in v0.2.0 of the simulator: write --lora-modules, for example name=path"),
];

/// What follows a flag that means nothing here; `None` if it is not accepted.
pub fn takes(name: &str) -> Option<Takes> {
    let has = |names: &str| names.split_whitespace().any(|known| known == name);
    tables().find(|(_, names)| has(names)).map(|(takes, _)| takes)
}

/// What to do in the place of a name that is known and refused.
pub fn refused(name: &str) -> Option<&'static str> {
    REFUSED.iter().find(|(known, _)| *known == name).map(|(_, what)| *what)
}

/// What a name after one dash stands for.
pub fn long_name(short: &str) -> Option<&'static str> {
    SHORTS.iter().find(|(known, _)| *known == short).map(|(_, name)| *name)
}

/// All accepted names.
pub fn names() -> impl Iterator<Item = &'static str> {
    tables().flat_map(|(_, names)| names.split_whitespace())
}

fn tables() -> impl Iterator<Item = (Takes, &'static str)> {
    let value = Takes::One("VALUE");
    let list = Takes::Several("VALUE");
    [
        (Takes::Switch, SWITCHES),
        (Takes::Switch, OLD_SWITCHES),
        (Takes::Switch, SIMULATOR_SWITCHES),
        (value, VALUES),
        (value, OLD_VALUES),
        (value, SIMULATOR_VALUES),
        (list, LISTS),
        (list, OLD_LISTS),
        (Takes::Json, JSON),
        (Takes::Json, OLD_JSON),
    ]
    .into_iter()
}
