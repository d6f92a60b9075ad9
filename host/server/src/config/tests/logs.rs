//! How much is logged.

use super::*;

#[test]
fn verbosity_is_klogs_and_a_level_wins() {
    for (line, filter) in
        [("-v 4", "trace"), ("-v=2", "debug"), ("--v 1", "info"), ("-v 4 --log-level warning", "warn")]
    {
        assert_eq!(config(&format!("--model m {line}")).unwrap().log.filter, filter, "{line}");
    }
}

#[test]
fn klogs_keys_are_understood() {
    let log = |line: &str| config(&format!("--model m {line}")).map(|config| config.log);
    assert!(log("").unwrap().files.is_none());
    let files =
        log("--logtostderr=false --log_dir /tmp --stderrthreshold WARNING --one_output").unwrap().files.unwrap();
    assert_eq!(files.stderr_threshold, klog::Severity::Warning);
    assert!(matches!(files.place, LogPlace::Folder { one_output: true, .. }));
    let file =
        log("--logtostderr false --log_file x.log --log_file_max_size 2 --alsologtostderr").unwrap().files.unwrap();
    assert_eq!(file.stderr_threshold, klog::Severity::Info);
    assert!(matches!(file.place, LogPlace::One(_, 2_097_152)));
    assert!(log("--log_backtrace_at serve.rs:57 --vmodule serve=4").unwrap().backtrace.is_some());
    for wrong in ["--vmodule serve", "--log_backtrace_at serve.rs", "--stderrthreshold 9"] {
        assert_eq!(log(wrong).unwrap_err().len(), 1, "{wrong}");
    }
}

/// As a target's name, such a word would silence everything else.
#[test]
fn a_level_that_is_misspelt_is_no_filter() {
    let filter = |line: &str, env: &[(&str, &str)]| {
        config_with_env(&format!("--model m {line}"), env).map(|config| config.log.filter)
    };
    assert_eq!(filter("", &[("VLLM_LOGGING_LEVEL", "CRITICAL")]), Ok("error".into()));
    assert_eq!(filter("--log-level warn,rehearsal_server=debug", &[]), Ok("warn,rehearsal_server=debug".into()));
    for wrong in ["typo", "notice"] {
        assert!(filter(&format!("--log-level {wrong}"), &[]).unwrap_err()[0].contains("none of off, error"), "{wrong}");
    }
}
