//! Whole files: all mistakes at once, variables over the file, secrets in no message.

use std::path::Path;

use secrecy::ExposeSecret;

use super::testing::{CALLER, REGION, TempFile, found, given, key, keys, parsed};
use super::*;

static_assertions::assert_not_impl_any!(Config: std::fmt::Debug, std::fmt::Display);

fn keys_of(mistakes: &[Mistake]) -> Vec<&str> {
    mistakes.iter().map(key).collect()
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let text = r#"
        colour = "blue"
        [server]
        listen = 8080
        listn = "127.0.0.1:1"
        [request]
        timeout = 8
        [[regions]]
        name = "my"
        access_key = "a"
        [[regions]]
        name = "zz"
        secret_key_file = "/nonexistent"
        [auth]
        mode = "jwt"
        [[callers]]
        name = "a"
        scopes = ["everything"]
        regions = ["id"]
        [cache]
        max_bytes = true
        [remote]
        url = "redis://127.0.0.1"
    "#;
    let mistakes = found(text, &[("IDV__NOBODY__KNOWS", "x"), ("IDV__DRAIN__DELAY", "5")]);
    let expected = [
        "server.listen",
        "server.listn",
        "request.timeout",
        "IDV__DRAIN__DELAY",
        "regions[0].secret_key_file",
        "regions[1].base_url",
        "regions[1].secret_key_file",
        "regions[1].access_key_file",
        "auth.jwt",
        "callers[0].scopes[0]",
        "callers[0].regions[0]",
        "cache.max_bytes",
        "remote.encryption_key_file",
        "colour",
        "IDV__NOBODY__KNOWS",
    ];
    let (mut found, mut expected) = (keys_of(&mistakes), expected.to_vec());
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn one_mistake_hides_no_other() {
    let hash = "ab".repeat(32);
    let text = format!(
        "[server]\nlisten = \"0.0.0.0:80\"\nmax_connections = 0\n[auth]\nmode = \"none\"\n{REGION}\
         [[callers]]\nname = \"a b\"\nkey_sha256 = \"{hash}\"\n\
         [[callers]]\nname = \"b\"\nkey_sha256 = \"{hash}\"\nscopes = [\"x\"]\n"
    );
    let expected = [
        "server.max_connections",
        "auth.mode",
        "callers[0].name",
        "callers[1].key_sha256[0]",
        "callers[1].scopes[0]",
    ];
    assert_eq!(keys(&text), expected);
}

#[test]
fn a_mistake_names_its_line_or_that_of_its_section() {
    let text = format!(
        "{REGION}{CALLER}[server]\nlisten = \"x\"\n\n[server.tls]\ncert_file = \"tests/fixtures/tls/test-only-server.pem\"\n"
    );
    let text = text.replace("name = \"my\"", "name = \"my\"\nscopes = [\n1]\nca_file = \"/nonexistent\"");
    let shown = parsed(&text, &[]).err().unwrap().to_string();
    let places: Vec<_> =
        shown.lines().map(|line| line.split(": ").take(2).collect::<Vec<_>>().join(": ")).collect();
    let expected = [
        "gateway.toml:4: regions[0].scopes",
        "gateway.toml:6: regions[0].ca_file",
        "gateway.toml:14: server.listen",
        "gateway.toml:16: server.tls.key_file",
    ];
    assert_eq!(places, expected, "{shown}");
    assert!(shown.contains("cannot use /nonexistent: No such file"), "{shown}");
}

#[test]
fn every_named_file_that_holds_something_else_is_named() {
    let short = TempFile::new("short-key", "fifteen bytes..");
    let file = |key: &str| format!("{key} = \"{}\"\n", short.path().display());
    let sections = [
        (REGION, &["ca_file"][..]),
        ("[server.tls]\n", &["cert_file", "key_file", "client_ca_file"]),
        (
            "[auth]\nmode = \"keys+jwt\"\n[auth.jwt]\nissuer = \"i\"\naudience = \"a\"\n\
             jwks_url = \"https://idp.example\"\n",
            &["jwks_ca_file"],
        ),
        ("[remote]\nurl = \"rediss://host\"\n", &["encryption_key_file", "ca_file"]),
        ("[telemetry]\n", &["audit_key_file"]),
    ];
    let text = sections
        .map(|(section, keys)| [section, &keys.iter().map(|key| file(key)).collect::<String>()].concat());
    let expected = [
        "regions[0].ca_file",
        "server.tls.cert_file",
        "server.tls.key_file",
        "server.tls.client_ca_file",
        "auth.jwt.jwks_ca_file",
        "remote.encryption_key_file",
        "remote.ca_file",
        "telemetry.audit_key_file",
    ];
    assert_eq!(keys(&(text.concat() + CALLER)), expected);
}

#[test]
fn a_key_with_a_line_end_in_it_is_still_one_line() {
    let shown = given("\"a\\nb\" = 1").err().unwrap().to_string();
    assert_eq!(shown.lines().count(), 1, "{shown}");
}

#[test]
fn a_syntax_error_is_one_mistake_with_its_place_and_without_the_text() {
    let mistakes = parsed("[server]\nlisten = \"x\"\n  access_key = hunter2 !\n", &[]).err().unwrap();
    assert_eq!(mistakes.mistakes.len(), 1);
    let shown = mistakes.to_string();
    assert!(
        shown.starts_with("gateway.toml:3: not TOML at column ") && !shown.contains("hunter2"),
        "{shown}"
    );
    let twice = parsed("[server]\n[server]\n", &[]).err().unwrap().to_string();
    assert!(twice.contains(":2: ") && twice.contains("duplicate"), "{twice}");
}

#[test]
fn a_key_of_digits_alone_that_was_not_quoted_is_not_shown() {
    for digits in ["1234567890123456789", "1234567890123456789012345"] {
        let text = format!("[[regions]]\nname = \"my\"\naccess_key = \"a\"\nsecret_key = {digits}\n{CALLER}");
        let shown = parsed(&text, &[]).err().map(|mistakes| mistakes.to_string());
        let shown = shown.unwrap_or_else(|| "no mistake".to_owned());
        assert!(shown.contains("in quotes") && !shown.contains("1234567890"), "{shown}");
    }
}

#[test]
fn a_missing_file_is_one_mistake() {
    let mistakes = load(Path::new("/nonexistent/gateway.toml")).err().unwrap();
    assert_eq!(mistakes.mistakes.len(), 1);
    let shown = mistakes.to_string();
    assert!(
        shown.starts_with("/nonexistent/gateway.toml: cannot read the configuration: No such"),
        "{shown}"
    );
}

#[test]
fn a_file_is_loaded() {
    let file = TempFile::new("whole", &format!("{REGION}{CALLER}"));
    assert_eq!(load(file.path()).map_err(|mistakes| mistakes.to_string()).unwrap().regions.len(), 1);
}

#[test]
fn variables_override_every_type() {
    let env = [
        ("IDV__SERVER__LISTEN", "127.0.0.1:9000"),
        ("IDV__SERVER__MAX_CONNECTIONS", "12"),
        ("IDV__SERVER__TLS__CERT_FILE", "tests/fixtures/tls/test-only-server.pem"),
        ("IDV__SERVER__TLS__KEY_FILE", "tests/fixtures/tls/test-only-server-key.pem"),
        ("IDV__REGIONS__0__CONCURRENCY", "3"),
        ("IDV__REGIONS__MY__ACCESS_KEY", "from-env"),
        ("IDV__REGIONS__MY__ALLOW_HTTP", "true"),
        ("IDV__CALLERS__ONBOARDING__REQUESTS_PER_SECOND", "9"),
        ("IDV__CALLERS__ONBOARDING__SCOPES", "checks,media"),
        ("IDV__CACHE__MAX_BYTES", "1048576"),
        ("IDV__AUTH__MODE", "keys+jwt"),
        ("IDV__AUTH__JWT__ISSUER", "https://idp.example"),
        ("IDV__AUTH__JWT__AUDIENCE", "idv"),
        ("IDV__AUTH__JWT__JWKS_FILE", "Cargo.toml"),
        ("IDV__TELEMETRY__AUDIT", "false"),
        ("UNRELATED", "x"),
        ("IDV_GATEWAY_SERVICE_HOST", "10.0.0.1"),
    ];
    let config = parsed(&format!("{REGION}{CALLER}"), &env).map_err(|mistakes| mistakes.to_string()).unwrap();
    assert_eq!((config.server.listen.port(), config.server.max_connections), (9000, 12));
    assert!(config.server.tls.is_some() && config.regions[0].allow_http && !config.telemetry.audit);
    assert_eq!(config.regions[0].access_key.read().unwrap().expose_secret(), "from-env");
    assert_eq!((config.regions[0].concurrency, config.cache.max_bytes), (3, 1 << 20));
    assert_eq!(config.callers[0].scopes.names().collect::<Vec<_>>(), ["checks", "media"]);
    assert!(matches!(config.auth, Auth::KeysAndJwt { .. }));
}

#[test]
fn a_variable_with_a_bad_value_is_named_itself() {
    let table = [
        ("IDV__SERVER__MAX_CONNECTIONS", "many", "whole number"),
        ("IDV__REQUEST__TIMEOUT", "5", "\"5s\""),
        ("IDV__TELEMETRY__AUDIT", "yes", "expected true or false"),
        ("IDV__CALLERS__0__SCOPES", "checks,medai", "did you mean `media`?"),
        ("IDV__CALLERS__0__KEY_SHA256", "hunter2", "64 hexadecimal"),
        ("IDV__REGIONS__MY__BASE_URL", "http://a.example", "allow_http"),
        ("IDV__REGIONS__MY__ACCES_KEY", "x", "did you mean `access_key`?"),
        ("IDV__SERVR__LISTEN", "x", "did you mean `server`?"),
        ("IDV__REMOTE__URL", "http://127.0.0.1", "redis"),
        ("IDV__REGIONS__PH__ACCESS_KEY", "x", "matches nothing"),
        ("IDV__SERVER__TLS__CERTFILE", "x", "did you mean `cert_file`?"),
        ("IDV__CACHE", "x", "write [cache]"),
    ];
    for (name, value, fragment) in table {
        let mistakes = found(&format!("{REGION}{CALLER}"), &[(name, value)]);
        let mistake = mistakes.iter().find(|mistake| mistake.place == Place::Variable(name.to_owned()));
        let message = mistake.map(|mistake| mistake.message.as_str()).unwrap_or_default();
        assert!(message.contains(fragment), "{name}: {mistakes:?}");
        assert!(!message.contains("without quotes"), "{name} has none: {message}");
    }
}

#[test]
fn regions_that_are_missing_are_missed_once() {
    let mistakes = found(&format!("colour = 1\n{CALLER}regions = [\"my\"]"), &[]);
    assert_eq!(keys_of(&mistakes), ["colour", "regions"]);
    assert_eq!(mistakes[0].message.matches("regions").count(), 1, "{}", mistakes[0].message);
}

#[test]
fn mistakes_come_in_the_order_of_the_file_and_those_without_a_line_last() {
    let text = format!("colour = 1\n[drain]\ndelay = 1\n{REGION}[request]\ntimeout = 8\n[drian]");
    let mistakes = found(&text, &[("IDV__NOBODY__KNOWS", "x")]);
    let expected = ["colour", "drain.delay", "request.timeout", "drian", "IDV__NOBODY__KNOWS", "callers"];
    assert_eq!(keys_of(&mistakes), expected);
}

#[test]
fn what_follows_from_a_mistake_is_not_reported_beside_it() {
    let region = "[[regions]]\nname = \"my\"\nsecret_key = \"s\"\n";
    let jwt = "[auth.jwt]\nissuer = \"i\"\naudience = \"a\"\njwks_file = \"Cargo.toml\"\n";
    let table = [
        (format!("{REGION}{}", CALLER.replace("[[callers]]", "[[caller]]")), "caller"),
        (format!("{CALLER}{}", REGION.replace("[[regions]]", "[[region]]")), "region"),
        (format!("{REGION}{}", CALLER.replace("key_sha256", "key_sha265")), "callers[0].key_sha265"),
        (format!("{CALLER}{region}acces_key = \"a\"\n"), "regions[0].acces_key"),
        (
            format!("{CALLER}{REGION}base_url = \"http://a.example\"\nallow_htp = true"),
            "regions[0].allow_htp",
        ),
        (format!("[auth]\nmod = \"jwt\"\n{jwt}{REGION}{CALLER}"), "auth.mod"),
    ];
    for (text, mistake) in table {
        assert_eq!(keys(&text), [mistake], "{text}");
    }
}

#[test]
fn secrets_are_in_no_message() {
    let text = "[[regions]]\nname = \"my\"\naccess_key = \"hunter2\\n2\"\nsecret_key = [\"hunter2\"]\n\
                [[regions]]\nname = \"ph\"\naccess_key_file = \"hunter2\"\nsecret_key = \"hunter2\"\n\
                secret_key_file = \"Cargo.toml\"\n\
                base_url = \"https://hunter2@host\"\n[[callers]]\nname = \"a\"\nkey_sha256 = [\"hunter2\"]\n";
    let shown = parsed(text, &[("IDV__REGIONS__MY__CONCURRENCY", "hunter2")]).err().unwrap().to_string();
    assert!(shown.lines().count() >= 7 && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn key_files_are_read_and_checked() {
    let good = TempFile::new("region-key", "a-key\n");
    let region = |path: &Path| {
        format!(
            "[[regions]]\nname = \"my\"\naccess_key_file = \"{}\"\nsecret_key = \"s\"\n{CALLER}",
            path.display()
        )
    };
    let config = parsed(&region(good.path()), &[]).map_err(|mistakes| mistakes.to_string()).unwrap();
    assert_eq!(config.regions[0].access_key.read().unwrap().expose_secret(), "a-key");
    let empty = TempFile::new("region-empty-key", "\n");
    assert!(found(&region(empty.path()), &[])[0].message.contains("is empty"));
}

#[test]
fn the_admin_address_needs_nothing_else_to_be_right() {
    let file = TempFile::new("admin", "colour = 1\n[server]\nadmin_listen = \"0.0.0.0:9081\"\n");
    let address = |path: Option<&Path>, env: &[(&str, &str)]| {
        let env: Vec<_> = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        admin_address(path, &env).map(|address| address.to_string()).map_err(|mistakes| mistakes.to_string())
    };
    assert_eq!(address(None, &[]).unwrap(), "127.0.0.1:8081");
    assert_eq!(address(Some(file.path()), &[]).unwrap(), "127.0.0.1:9081");
    let variable = [("IDV__SERVER__ADMIN_LISTEN", "[::]:7000")];
    assert_eq!(address(Some(file.path()), &variable).unwrap(), "[::1]:7000");
    let error = address(None, &[("IDV__SERVER__ADMIN_LISTEN", "7000")]).unwrap_err();
    assert!(error.starts_with("environment: IDV__SERVER__ADMIN_LISTEN: expected an IP address"), "{error}");
    assert!(address(Some(Path::new("/nonexistent")), &[]).is_err());
}

/// With secrets in every place that may hold one.
fn secretive(path: &str, hash: &str) -> String {
    format!(
        r#"
        [server]
        max_connections = 7
        [server.tls]
        cert_file = "tests/fixtures/tls/test-only-server.pem"
        key_file = "tests/fixtures/tls/test-only-server-key.pem"
        [[regions]]
        name = "my"
        access_key = "inline-secret"
        secret_key_file = "{path}"
        attempt_timeout = "1500ms"
        [auth]
        mode = "keys+jwt"
        [auth.jwt]
        issuer = "an \"issuer\" \\"
        audience = "idv"
        jwks_url = "https://idp.example/keys?token=query-secret"
        [[callers]]
        name = "a"
        key_sha256 = ["{hash}"]
        scopes = ["checks", "purge"]
        regions = ["my"]
        [cache]
        max_bytes = 1000001
        [telemetry]
        log_format = "text"
        otlp_endpoint = "http://otel-collector:4318/"
        "#
    )
}

#[test]
fn the_shown_configuration_has_the_keys_of_the_file_and_no_secret() {
    let key = TempFile::new("masked-key", "file-secret");
    let (path, hash) = (key.path().display().to_string(), "ab".repeat(32));
    let text = secretive(&path, &hash);
    let page = parsed(&text, &[]).map_err(|mistakes| mistakes.to_string()).unwrap().masked();
    for secret in ["inline-secret", "file-secret", "query-secret", &hash] {
        assert!(!page.contains(secret), "{page}");
    }
    let page: serde_json::Value = serde_json::from_str(&page).unwrap();
    let expected = [
        ("/server/listen", "\"127.0.0.1:8080\""),
        ("/server/max_connections", "7"),
        ("/server/tls/cert_file", "\"tests/fixtures/tls/test-only-server.pem\""),
        ("/server/tls/client_ca_file", "null"),
        ("/regions/0/name", "\"my\""),
        ("/regions/0/access_key", "\"***\""),
        ("/regions/0/attempt_timeout", "\"1500ms\""),
        ("/auth/mode", "\"keys+jwt\""),
        ("/auth/jwt/issuer", r#""an \"issuer\" \\""#),
        ("/auth/jwt/jwks_url", "\"https://idp.example/keys?***\""),
        ("/callers/0/key_sha256", "[\"***\"]"),
        ("/callers/0/scopes", "[\"checks\",\"purge\"]"),
        ("/callers/0/regions", "[\"my\"]"),
        ("/cache/max_bytes", "\"1000001B\""),
        ("/cache/final_ttl", "\"6h\""),
        ("/remote", "null"),
        ("/telemetry/log_format", "\"text\""),
        ("/telemetry/otlp_endpoint", "\"http://otel-collector:4318\""),
    ];
    for (at, value) in expected {
        assert_eq!(page.pointer(at).map(ToString::to_string).as_deref(), Some(value), "{at}");
    }
    assert_eq!(page["regions"][0]["secret_key_file"], path);
    assert!(page["regions"][0].get("secret_key").is_none());
}

#[test]
fn the_shown_configuration_says_where_traces_go() {
    for name in ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] {
        let config = parsed(&format!("{REGION}{CALLER}"), &[(name, "http://base:4318")]).ok().unwrap();
        assert!(config.masked().contains("\"otlp_endpoint\": \"http://base:4318"));
    }
}

#[test]
fn a_byte_order_mark_and_comments_are_no_mistake() {
    assert!(given("\u{feff}# a comment\r\n").is_ok());
}
