//! Where traces go: `telemetry.otlp_endpoint`, else what the standard variables of OpenTelemetry say. The SDK reads the
//! rest of those itself: headers, sampling, batches, what the service is called.

use std::path::PathBuf;
use std::time::Duration;

use toml::Value;

use super::files;
use super::reader::{Section, Setting};
use super::url::{base_url, document_url};
use super::value::{Raw, whole};

/// What every standard variable starts with.
pub(super) const PREFIX: &str = "OTEL_";

/// The standard's own default.
const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_TIMEOUT_MILLIS: u32 = 600_000;

/// Where traces go, over OTLP as `http/protobuf`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Otlp {
    /// `otlp_endpoint`, else `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` or `OTEL_EXPORTER_OTLP_ENDPOINT`. Plain http is taken
    /// anywhere: collectors within a cluster speak it, and a span holds nothing of a person.
    pub endpoint: OtlpEndpoint,
    /// `OTEL_EXPORTER_OTLP_TRACES_TIMEOUT` or `OTEL_EXPORTER_OTLP_TIMEOUT` in milliseconds, default 10s, as the standard
    /// has it: what one batch may take, with all its tries.
    pub timeout: Duration,
    /// `OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE` or `OTEL_EXPORTER_OTLP_CERTIFICATE`, default none: a PEM file of
    /// certificate authorities to trust beside the bundled ones.
    pub ca_file: Option<PathBuf>,
}

/// A collector's URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OtlpEndpoint {
    /// The base of all that is exported, such as `http://otel-collector:4318`: traces go to `/v1/traces` below it.
    Base(String),
    /// That of traces alone, taken as it is.
    Traces(String),
}

impl OtlpEndpoint {
    /// Where traces are posted to.
    pub fn url(&self) -> String {
        match self {
            Self::Base(base) => format!("{base}/v1/traces"),
            Self::Traces(url) => url.clone(),
        }
    }
}

/// The collector; `Some(None)` = there is none, and so no traces.
pub(super) fn otlp(section: &mut Section<'_>, env: &[(String, String)]) -> Option<Option<Otlp>> {
    let key = section.read("otlp_endpoint", base).optional();
    let says =
        |name: &str, word| env.iter().any(|(given, value)| given == name && value.eq_ignore_ascii_case(word));
    if says("OTEL_SDK_DISABLED", "true") || says("OTEL_TRACES_EXPORTER", "none") {
        return key.map(|_| None);
    }
    let standard = Standard { section, env };
    let endpoint = match key? {
        Some(endpoint) => Some(endpoint),
        None => standard.endpoint()?,
    };
    let Some(endpoint) = endpoint else { return Some(None) };
    let exporter = standard.read(&["OTEL_TRACES_EXPORTER"], exporter).or(());
    let protocol = standard.read_otlp(["TRACES_PROTOCOL", "PROTOCOL"], protocol).or(());
    let timeout = standard.read_otlp(["TRACES_TIMEOUT", "TIMEOUT"], millis).or(TIMEOUT);
    let ca_file = standard.read_otlp(["TRACES_CERTIFICATE", "CERTIFICATE"], files::readable).optional();
    // The SDK takes these as they come, and would abort on a queue that no memory holds, or never rest.
    let bounded = [
        standard.read(&["OTEL_BSP_MAX_QUEUE_SIZE"], whole(1..=65_536)).or(0),
        standard.read(&["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"], whole(1..=65_536)).or(0),
        standard.read(&["OTEL_BSP_SCHEDULE_DELAY"], whole(10..=600_000)).or(0),
    ];
    let sampler = standard.read(&["OTEL_TRACES_SAMPLER"], sampler).or(());
    exporter.and(protocol).and(sampler)?;
    bounded.iter().all(Option::is_some).then_some(())?;
    Some(Some(Otlp { endpoint, timeout: timeout?, ca_file: ca_file? }))
}

/// The standard variables.
struct Standard<'a, 'n> {
    /// Whose mistakes theirs are.
    section: &'a Section<'n>,
    env: &'a [(String, String)],
}

impl Standard<'_, '_> {
    fn endpoint(&self) -> Option<Option<OtlpEndpoint>> {
        let traces = self.read(&["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"], |raw| {
            document_url(raw).map(|url| OtlpEndpoint::Traces(url.to_string()))
        });
        match traces.optional()? {
            Some(endpoint) => Some(Some(endpoint)),
            None => self.read(&["OTEL_EXPORTER_OTLP_ENDPOINT"], base).optional(),
        }
    }

    /// The variable of traces, or else that of all that is exported.
    fn read_otlp<T>(
        &self,
        names: [&str; 2],
        parse: impl FnOnce(&Raw<'_>) -> Result<T, String>,
    ) -> Setting<T> {
        let names = names.map(|name| format!("OTEL_EXPORTER_OTLP_{name}"));
        self.read(&[&names[0], &names[1]], parse)
    }

    /// The first of these variables that is given. One that is empty is not: so says the standard.
    fn read<T>(&self, names: &[&str], parse: impl FnOnce(&Raw<'_>) -> Result<T, String>) -> Setting<T> {
        let find = |name: &&str| self.env.iter().find(|(given, value)| given == name && !value.is_empty());
        let Some((name, value)) = names.iter().find_map(find) else { return Setting::Absent };
        match parse(&Raw { value: &Value::from(value.as_str()), from_env: true }) {
            Ok(parsed) => Setting::Given(parsed),
            Err(message) => {
                self.section.mistake_of_variable(name, &message);
                Setting::Wrong
            }
        }
    }
}

fn base(raw: &Raw<'_>) -> Result<OtlpEndpoint, String> {
    base_url(raw).map(|url| OtlpEndpoint::Base(url.to_string()))
}

fn exporter(raw: &Raw<'_>) -> Result<(), String> {
    if raw.text()? == "otlp" { Ok(()) } else { Err("expected otlp, or none for no traces".to_owned()) }
}

fn sampler(raw: &Raw<'_>) -> Result<(), String> {
    const SAMPLERS: [&str; 6] = [
        "always_on",
        "always_off",
        "traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "parentbased_traceidratio",
    ];
    let is_known = SAMPLERS.contains(&raw.text()?);
    if is_known { Ok(()) } else { Err(format!("expected one of {}", SAMPLERS.join(", "))) }
}

fn protocol(raw: &Raw<'_>) -> Result<(), String> {
    match raw.text()? {
        "http/protobuf" => Ok(()),
        _ => {
            Err("expected http/protobuf, which collectors take on port 4318: no other is spoken here"
                .to_owned())
        }
    }
}

fn millis(raw: &Raw<'_>) -> Result<Duration, String> {
    whole(1..=MAX_TIMEOUT_MILLIS)(raw)
        .map(|millis| Duration::from_millis(millis.into()))
        .map_err(|message| format!("{message}, in milliseconds"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

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
        otlp(key, env).map(|otlp| otlp.endpoint.url())
    }

    #[test]
    fn there_are_no_traces_unless_something_says_where_to() {
        assert_eq!(otlp("", &[]), None);
        let others = [("OTEL_SERVICE_NAME", "x"), ("OTEL_EXPORTER_OTLP_TIMEOUT", "x"), (BASE.0, "")];
        assert_eq!(otlp("", &others), None, "what is not used is not read");
    }

    #[test]
    fn our_key_comes_before_the_variable_of_traces_and_that_before_the_one_of_all() {
        assert_eq!(url(KEY, &[BASE, TRACES]).as_deref(), Some("http://key:4318/v1/traces"));
        assert_eq!(url("", &[BASE, TRACES]).as_deref(), Some("https://traces:1/in"));
        assert_eq!(url("", &[BASE]).as_deref(), Some("http://base:4318/v1/traces"));
        let ours = ("IDV__TELEMETRY__OTLP_ENDPOINT", "http://ours:4318");
        assert_eq!(url(KEY, &[ours, BASE]).as_deref(), Some("http://ours:4318/v1/traces"));
    }

    #[test]
    fn the_standard_ways_to_say_no_are_heard() {
        for no in [("OTEL_SDK_DISABLED", "TRUE"), ("OTEL_TRACES_EXPORTER", "none")] {
            assert_eq!(otlp(KEY, &[no, BASE]), None, "{no:?}");
        }
        assert!(otlp(KEY, &[("OTEL_SDK_DISABLED", "false"), ("OTEL_TRACES_EXPORTER", "otlp")]).is_some());
    }

    #[test]
    fn limits_and_authorities_are_taken_from_the_variable_of_traces_first() {
        let otlp = |env: &[(&str, &str)]| otlp(KEY, env).unwrap();
        assert_eq!((otlp(&[]).timeout, otlp(&[]).ca_file), (Duration::from_secs(10), None));
        let all = ("OTEL_EXPORTER_OTLP_TIMEOUT", "250");
        assert_eq!(otlp(&[all]).timeout, Duration::from_millis(250));
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "125");
        assert_eq!(otlp(&[all, traces]).timeout, Duration::from_millis(125));
        let file = ("OTEL_EXPORTER_OTLP_CERTIFICATE", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        assert_eq!(otlp(&[file]).ca_file.as_deref(), Some(Path::new(file.1)));
    }

    #[test]
    fn bad_variables_are_named() {
        let table = [
            (BASE.0, "collector:4317", "expected a URL"),
            (BASE.0, "http://who:hunter2@collector:4318", "password"),
            (TRACES.0, "ftp://collector", "starts with"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "port 4318"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "milliseconds"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "0", "from 1 to"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nonexistent", "No such file"),
            ("OTEL_TRACES_EXPORTER", "zipkin", "none for no traces"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "99999999999", "from 1 to 65536"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "0", "from 1 to 65536"),
            ("OTEL_BSP_SCHEDULE_DELAY", "0", "from 10 to 600000"),
            ("OTEL_TRACES_SAMPLER", "sometimes", "parentbased_traceidratio"),
        ];
        for (name, value, fragment) in table {
            let mistakes = found(&text(""), &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://base"), (name, value)]);
            let mistakes = if name == BASE.0 { found(&text(""), &[(name, value)]) } else { mistakes };
            assert_eq!(mistakes.len(), 1, "{name}={value}: {mistakes:?}");
            assert!(mistakes[0].key == name && mistakes[0].message.contains(fragment), "{mistakes:?}");
            assert!(!mistakes[0].message.contains("hunter2"));
        }
    }

    #[test]
    fn the_shown_configuration_says_where_traces_go() {
        for (env, shown) in [(BASE, true), (TRACES, false)] {
            let page = parsed(&text(""), &[env]).unwrap().masked_toml();
            assert_eq!(page.contains("otlp_endpoint = \"http://base:4318\""), shown, "{page}");
        }
    }
}
