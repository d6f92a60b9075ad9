//! What fails, how often, and how.

use rehearsal_sdk::{Failure, Moment, config};

use super::*;

fn arrival(seed: u64, headers: &[(&str, &str)]) -> Arrival {
    let headers = headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    Arrival { number: seed, model: "m".into(), seed, headers, ..Arrival::default() }
}

fn select(config: &str, seed: u64, headers: &[(&str, &str)]) -> Vec<Outcome> {
    Failures::new(config::read(config).unwrap()).unwrap().select(&arrival(seed, headers)).unwrap()
}

fn statuses(config: &str) -> Vec<u16> {
    let selected = (0..1000).flat_map(|seed| select(config, seed, &[]));
    let status = |outcome: Outcome| match outcome.failure {
        Failure::Error(error) => error.status,
        other => panic!("{other:?}"),
    };
    selected.map(status).collect()
}

#[test]
fn nothing_fails_unless_it_is_asked_to() {
    assert!(statuses("{}").is_empty());
    assert!(statuses(r#"{"failure-injection-rate": 0, "failure-types": ["rate_limit"]}"#).is_empty());
}

#[test]
fn the_rate_is_kept_and_every_type_has_its_status() {
    let third = statuses(r#"{"failure-injection-rate": 30}"#);
    assert!((250..350).contains(&third.len()), "{}", third.len());
    for (kind, status) in KINDS.iter().zip([429, 401, 400, 503, 400, 404]) {
        let all = statuses(&format!(r#"{{"failure-injection-rate": 100, "failure-types": ["{kind}"]}}"#));
        assert!(all.len() == 1000 && all.iter().all(|found| *found == status), "{kind}");
    }
}

#[test]
fn a_429_says_when_to_come_back() {
    let outcomes = select(r#"{"failure-injection-rate": 100, "failure-types": ["rate_limit"]}"#, 0, &[]);
    let [Outcome { failure: Failure::Error(error), moment: Moment::OnArrival }] = &outcomes[..] else { panic!() };
    assert_eq!(error.headers, [("retry-after".to_owned(), "1".to_owned())]);
}

#[test]
fn a_header_forces_its_status() {
    let forced = |value: &str| match &select("{}", 0, &[("x-return-error", value)])[..] {
        [Outcome { failure: Failure::Error(error), .. }] => error.status,
        other => panic!("{other:?}"),
    };
    assert_eq!((forced("503"), forced("418"), forced("200"), forced("soon")), (503, 418, 400, 400));
}

#[test]
fn rules_say_what_when_and_for_whom() {
    let config = r#"{"rules": [
        {"failure": {"stall": 250}, "moment": {"after-tokens": 2}},
        {"failure": "disconnect", "moment": "at-end", "header": {"X-Tenant-Id": "a"}},
        {"types": ["server_error"], "moment": {"after-ms": 10}, "header": "x-tenant-flaky"}
    ]}"#;
    let stall = Outcome { failure: Failure::Stall(250), moment: Moment::AfterTokens(2) };
    let cut = Outcome { failure: Failure::Disconnect, moment: Moment::AtEnd };
    assert_eq!(select(config, 0, &[]), std::slice::from_ref(&stall));
    assert_eq!(select(config, 0, &[("x-tenant-id", "b")]), std::slice::from_ref(&stall));
    assert_eq!(select(config, 0, &[("x-tenant-id", "a")]), [stall, cut]);
    let flaky = select(config, 0, &[("x-tenant-flaky", "")]);
    assert!(matches!(flaky[..], [_, Outcome { failure: Failure::Error(_), moment: Moment::AfterMs(10) }]));
}

#[test]
fn a_wrong_configuration_is_named() {
    for (config, problem) in [
        (r#"{"failure-types": ["meltdown"]}"#, "\"meltdown\" is no type of failure"),
        (r#"{"rules": [{"failure": "explode"}]}"#, "rules[0]: \"explode\" is no failure"),
        (r#"{"rules": [{}, {"moment": "later"}]}"#, "rules[1]: \"later\" is no moment"),
        (r#"{"rules": [{"rate": 101}]}"#, "rate must be"),
        (r#"{"rules": [{"chance": 1}]}"#, "unknown key \"chance\""),
        (r#"{"rules": [{"failure": {"error": {"status": 200}}}]}"#, "must be 400 to 599"),
        (r#"{"rules": [{"header": "cookie"}]}"#, "\"cookie\" is a header that this plugin is not sent"),
        (r#"{"rules": [{"types": []}]}"#, "must not be empty"),
        (r#"{"rules": [{"failure": {"stall": -1}}]}"#, "-1 is not a whole number of milliseconds"),
    ] {
        let error = config::read(config).and_then(Failures::new).err().unwrap();
        assert!(error.contains(problem), "{error}");
    }
}
