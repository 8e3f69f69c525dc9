//! Where traces go: `telemetry.otlp_endpoint`, else what the standard variables of OpenTelemetry say. The SDK reads the
//! others of those itself: headers, sampling, the name of the service.

use std::time::Duration;

use toml::{Table, Value};

use super::reader::Section;
use super::secret::certificates;
use super::url::{base_url, document_url, show};
use super::value::{Parsed, Raw, whole};
use crate::settings::Otlp;

const SAMPLERS: [&str; 6] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];

/// The collector; `None`: there is none, and so no traces.
pub(super) fn otlp(section: &mut Section<'_>, variables: Table) -> Option<Otlp> {
    let says = |name: &str, word| {
        let value = variables.get(name).and_then(Value::as_str);
        value.is_some_and(|value| value.eq_ignore_ascii_case(word))
    };
    let is_off = says("OTEL_SDK_DISABLED", "true") || says("OTEL_TRACES_EXPORTER", "none");
    let key = section.read("otlp_endpoint", base);
    if is_off {
        return None;
    }
    let standard = &mut Section::unchecked("", variables, section.notes());
    let (endpoint, url) = key.or_else(|| standard_endpoint(standard))?;
    standard.read("OTEL_TRACES_EXPORTER", |raw| word(raw, &["otlp", "none"]));
    standard.read("OTEL_TRACES_SAMPLER", |raw| word(raw, &SAMPLERS));
    let queue = standard.read("OTEL_BSP_MAX_QUEUE_SIZE", whole(1..=65_536)).unwrap_or(2048);
    let batch = standard.read("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", whole(1..=65_536)).unwrap_or(512);
    let delay = standard.read("OTEL_BSP_SCHEDULE_DELAY", whole(10..=600_000)).unwrap_or(5_000);
    let protocols = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
    let timeouts = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"];
    let ca_files = ["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"];
    first(standard, protocols, |raw| word(raw, &["http/protobuf"]));
    let timeout = first(standard, timeouts, millis).unwrap_or(Duration::from_secs(10));
    let ca_file = first(standard, ca_files, certificates);
    let delay = Duration::from_millis(delay.into());
    let (queue, batch) = (queue as usize, batch.min(queue) as usize);
    Some(Otlp { endpoint, url, timeout, ca_file, queue, batch, delay })
}

/// The variable for traces, else the one for all that is exported.
fn first<T>(
    standard: &mut Section<'_>,
    [traces, all]: [&'static str; 2],
    parse: impl FnOnce(&Raw) -> Parsed<T>,
) -> Option<T> {
    let name = if standard.has(traces) { traces } else { all };
    standard.read(name, parse)
}

/// An endpoint, and where traces are posted to.
fn standard_endpoint(standard: &mut Section<'_>) -> Option<(String, String)> {
    const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
    if standard.has(TRACES) {
        return standard.read(TRACES, |raw| document_url(raw).map(|url| (url.to_string(), url.to_string())));
    }
    standard.read("OTEL_EXPORTER_OTLP_ENDPOINT", base)
}

fn base(raw: &Raw) -> Parsed<(String, String)> {
    let base = show(&base_url(raw)?);
    let url = format!("{base}/v1/traces");
    Ok((base, url))
}

fn word(raw: &Raw, known: &[&str]) -> Parsed<()> {
    if known.contains(&raw.text()?) { Ok(()) } else { Err(format!("expected {}", known.join(", "))) }
}

fn millis(raw: &Raw) -> Parsed<Duration> {
    whole(1..=600_000)(raw)
        .map(|millis| Duration::from_millis(millis.into()))
        .map_err(|message| format!("{message}, in milliseconds"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::mistake::Place;
    use super::super::testing::{CALLER, REGION, found, parsed};
    use super::*;

    const BASE: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://base:4318/");
    const TRACES: (&str, &str) = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://traces:1/in");
    const KEY: &str = "[telemetry]\notlp_endpoint = \"http://key:4318\"";

    fn text(key: &str) -> String {
        format!("{key}\n{REGION}{CALLER}")
    }

    fn otlp(key: &str, env: &[(&str, &str)]) -> Option<Otlp> {
        parsed(&text(key), env).map_err(|mistakes| mistakes.to_string()).unwrap().telemetry.otlp
    }

    fn url(key: &str, env: &[(&str, &str)]) -> Option<String> {
        otlp(key, env).map(|otlp| otlp.url)
    }

    #[test]
    fn there_are_no_traces_unless_a_collector_is_named() {
        assert_eq!(otlp("", &[]), None);
        let others = [("OTEL_SERVICE_NAME", "x"), ("OTEL_EXPORTER_OTLP_TIMEOUT", "x"), (BASE.0, "")];
        assert_eq!(otlp("", &others), None, "what is not used is not read");
    }

    #[test]
    fn the_key_comes_before_the_variable_of_traces_and_that_before_the_one_of_all() {
        assert_eq!(url(KEY, &[BASE, TRACES]).as_deref(), Some("http://key:4318/v1/traces"));
        assert_eq!(url("", &[BASE, TRACES]).as_deref(), Some("https://traces:1/in"));
        assert_eq!(url("", &[BASE]).as_deref(), Some("http://base:4318/v1/traces"));
        let ours = ("IDV__TELEMETRY__OTLP_ENDPOINT", "http://ours:4318");
        assert_eq!(url(KEY, &[ours, BASE]).as_deref(), Some("http://ours:4318/v1/traces"));
    }

    #[test]
    fn the_standard_ways_to_turn_traces_off_have_effect() {
        for no in [("OTEL_SDK_DISABLED", "TRUE"), ("OTEL_TRACES_EXPORTER", "none")] {
            assert_eq!(otlp(KEY, &[no, BASE]), None, "{no:?}");
        }
        assert!(otlp(KEY, &[("OTEL_SDK_DISABLED", "false"), ("OTEL_TRACES_EXPORTER", "otlp")]).is_some());
    }

    #[test]
    fn the_variable_of_traces_hides_the_one_of_all() {
        let otlp = |env: &[(&str, &str)]| otlp(KEY, env).unwrap();
        assert_eq!((otlp(&[]).timeout, otlp(&[]).ca_file), (Duration::from_secs(10), None));
        let all = ("OTEL_EXPORTER_OTLP_TIMEOUT", "250");
        assert_eq!(otlp(&[all]).timeout, Duration::from_millis(250));
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "125");
        assert_eq!(otlp(&[all, traces]).timeout, Duration::from_millis(125));
        let others = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
        let ours = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf");
        assert_eq!(otlp(&[others, ours]).timeout, Duration::from_secs(10));
        let file = (
            "OTEL_EXPORTER_OTLP_CERTIFICATE",
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls/test-only-authority.pem"),
        );
        assert_eq!(otlp(&[file]).ca_file.as_deref(), Some(Path::new(file.1)));
        assert_eq!((otlp(&[]).queue, otlp(&[("OTEL_BSP_MAX_QUEUE_SIZE", "9")]).queue), (2048, 9));
    }

    #[test]
    fn bad_variables_are_named() {
        let table = [
            (BASE.0, "collector:4317", "starts with https://"),
            (BASE.0, "http://who:hunter2@collector:4318", "password"),
            (TRACES.0, "ftp://collector", "starts with"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "milliseconds"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "0", "from 1 to"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nonexistent", "No such file"),
            ("OTEL_TRACES_EXPORTER", "zipkin", "expected otlp, none"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "99999999999", "from 1 to 65536"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "0", "from 1 to 65536"),
            ("OTEL_BSP_SCHEDULE_DELAY", "0", "from 10 to 600000"),
            ("OTEL_TRACES_SAMPLER", "sometimes", "parentbased_traceidratio"),
        ];
        for (name, value, fragment) in table {
            let base = if name == BASE.0 { "OTEL_OTHER" } else { BASE.0 };
            let mistakes = found(&text(""), &[(base, "http://base"), (name, value)]);
            assert_eq!(mistakes.len(), 1, "{name}={value}: {mistakes:?}");
            assert_eq!(mistakes[0].place, Place::Variable(name.to_owned()));
            assert!(mistakes[0].message.contains(fragment), "{mistakes:?}");
            assert!(!mistakes[0].message.contains("hunter2"));
        }
    }
}
