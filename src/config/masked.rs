//! The configuration as it is in effect, with `***` where a secret is: as JSON for `GET /config`, made from the TOML
//! that would say it again.

use std::fmt::{self, Write};
use std::path::Path;

use super::files::Secret;
use super::otlp::{Otlp, OtlpEndpoint};
use super::settings::{Auth, Caller, Config, Jwks, Jwt, LogFormat, Region, Server};
use super::value::{show_bytes, show_duration};

const MASK: &str = "***";

impl Config {
    /// The effective configuration as JSON, with the keys of the file. Keys are `***`; so are hashes of callers' keys.
    pub fn masked(&self) -> String {
        let page: serde_json::Value =
            toml::from_str(&self.masked_toml()).expect("the page is the TOML of a configuration");
        format!("{page:#}")
    }

    /// The same as TOML.
    pub(super) fn masked_toml(&self) -> String {
        let mut page = String::new();
        // Writing to a string does not fail.
        let _ = self.write_masked(&mut page);
        page
    }

    fn write_masked(&self, page: &mut String) -> fmt::Result {
        write_server(page, &self.server)?;
        writeln!(page, "\n[request]")?;
        writeln!(page, "timeout = \"{}\"", show_duration(self.request.timeout))?;
        writeln!(page, "discovery_wait = \"{}\"", show_duration(self.request.discovery_wait))?;
        writeln!(page, "fill_timeout = \"{}\"", show_duration(self.request.fill_timeout))?;
        writeln!(page, "\n[wait]")?;
        writeln!(page, "max = \"{}\"", show_duration(self.wait.max))?;
        writeln!(page, "max_waiters = {}", self.wait.max_waiters)?;
        writeln!(page, "\n[drain]")?;
        writeln!(page, "delay = \"{}\"", show_duration(self.drain.delay))?;
        writeln!(page, "deadline = \"{}\"", show_duration(self.drain.deadline))?;
        self.regions.iter().try_for_each(|region| write_region(page, region))?;
        write_auth(page, &self.auth)?;
        self.callers.iter().try_for_each(|caller| write_caller(page, caller))?;
        self.write_cache(page)?;
        writeln!(page, "\n[media]\nallowed_hosts = {}", list(&self.media.allowed_hosts))?;
        write_remote(page, self)?;
        let format = match self.telemetry.log_format {
            LogFormat::Json => "json",
            LogFormat::Text => "text",
        };
        writeln!(page, "\n[telemetry]\nlog = {}", quoted(&self.telemetry.log))?;
        writeln!(page, "log_format = \"{format}\"\naudit = {}", self.telemetry.audit)?;
        write_file(page, "audit_key_file", self.telemetry.audit_key_file.as_deref())?;
        // A URL of traces alone is a variable's: no key says it.
        match &self.telemetry.otlp {
            Some(Otlp { endpoint: OtlpEndpoint::Base(base), .. }) => {
                writeln!(page, "otlp_endpoint = {}", quoted(base))
            }
            Some(Otlp { endpoint: OtlpEndpoint::Traces(_), .. }) | None => Ok(()),
        }
    }

    fn write_cache(&self, page: &mut String) -> fmt::Result {
        let cache = &self.cache;
        writeln!(page, "\n[cache]\nmax_bytes = \"{}\"", show_bytes(cache.max_bytes))?;
        let lifetimes = [
            ("final_ttl", cache.final_ttl),
            ("incomplete_ttl", cache.incomplete_ttl),
            ("pending_ttl", cache.pending_ttl),
            ("pending_ttl_max", cache.pending_ttl_max),
            ("not_found_ttl", cache.not_found_ttl),
            ("stale_max", cache.stale_max),
        ];
        lifetimes.iter().try_for_each(|(key, time)| writeln!(page, "{key} = \"{}\"", show_duration(*time)))
    }
}

fn write_server(page: &mut String, server: &Server) -> fmt::Result {
    writeln!(page, "[server]\nlisten = \"{}\"\nadmin_listen = \"{}\"", server.listen, server.admin_listen)?;
    writeln!(page, "max_connections = {}", server.max_connections)?;
    writeln!(page, "allowed_hosts = {}", list(&server.allowed_hosts))?;
    let Some(tls) = &server.tls else { return Ok(()) };
    writeln!(page, "\n[server.tls]")?;
    write_file(page, "cert_file", Some(&tls.cert_file))?;
    write_file(page, "key_file", Some(&tls.key_file))?;
    write_file(page, "client_ca_file", tls.client_ca_file.as_deref())
}

fn write_region(page: &mut String, region: &Region) -> fmt::Result {
    writeln!(page, "\n[[regions]]\nname = \"{}\"", region.name)?;
    writeln!(page, "base_url = {}\ntoken_url = {}", quoted(&region.base_url), quoted(&region.token_url))?;
    write_secret(page, "access_key", &region.access_key)?;
    write_secret(page, "secret_key", &region.secret_key)?;
    writeln!(page, "token_period = \"{}\"", show_duration(region.token_period))?;
    writeln!(page, "concurrency = {}", region.concurrency)?;
    writeln!(page, "attempt_timeout = \"{}\"", show_duration(region.attempt_timeout))?;
    write_file(page, "ca_file", region.ca_file.as_deref())?;
    writeln!(page, "allow_http = {}", region.allow_http)
}

fn write_secret(page: &mut String, key: &str, secret: &Secret) -> fmt::Result {
    match secret {
        Secret::Inline(_) => writeln!(page, "{key} = \"{MASK}\""),
        Secret::File(path) => write_file(page, &format!("{key}_file"), Some(path)),
    }
}

fn write_auth(page: &mut String, auth: &Auth) -> fmt::Result {
    let (mode, jwt) = match auth {
        Auth::None => ("none", None),
        Auth::Keys => ("keys", None),
        Auth::Jwt(jwt) => ("jwt", Some(jwt)),
        Auth::KeysAndJwt(jwt) => ("keys+jwt", Some(jwt)),
    };
    writeln!(page, "\n[auth]\nmode = \"{mode}\"")?;
    let Some(Jwt { issuer, audience, jwks, jwks_ca_file, jwks_token_file }) = jwt else { return Ok(()) };
    writeln!(page, "\n[auth.jwt]\nissuer = {}\naudience = {}", quoted(issuer), quoted(audience))?;
    match jwks {
        Jwks::Url(url) => writeln!(page, "jwks_url = {}", quoted(url))?,
        Jwks::File(path) => write_file(page, "jwks_file", Some(path))?,
    }
    write_file(page, "jwks_ca_file", jwks_ca_file.as_deref())?;
    write_file(page, "jwks_token_file", jwks_token_file.as_deref())
}

fn write_caller(page: &mut String, caller: &Caller) -> fmt::Result {
    writeln!(page, "\n[[callers]]\nname = {}", quoted(&caller.name))?;
    writeln!(page, "key_sha256 = {}", list(&vec![MASK; caller.key_sha256.len()]))?;
    write_file(page, "key_sha256_file", caller.key_sha256_file.as_deref())?;
    if let Some(subject) = &caller.subject {
        writeln!(page, "subject = {}", quoted(subject))?;
    }
    writeln!(page, "scopes = {}", list(&caller.scopes.names().collect::<Vec<_>>()))?;
    if let Some(regions) = &caller.regions {
        writeln!(
            page,
            "regions = {}",
            list(&regions.iter().map(|region| region.as_str()).collect::<Vec<_>>())
        )?;
    }
    caller.requests_per_second.map_or(Ok(()), |limit| writeln!(page, "requests_per_second = {limit}"))
}

fn write_remote(page: &mut String, config: &Config) -> fmt::Result {
    if let Some(remote) = &config.remote {
        writeln!(page, "\n[remote]")?;
        write_secret(page, "url", &remote.url)?;
        write_file(page, "encryption_key_file", Some(&remote.encryption_key_file))?;
        write_file(page, "ca_file", remote.ca_file.as_deref())?;
        writeln!(page, "share_tokens = {}", remote.share_tokens)?;
    }
    let Some(callbacks) = &config.callbacks else { return Ok(()) };
    writeln!(page, "\n[callbacks]\nlisten = \"{}\"", callbacks.listen)?;
    write_file(page, "key_file", Some(&callbacks.key_file))
}

fn write_file(page: &mut String, key: &str, path: Option<&Path>) -> fmt::Result {
    path.map_or(Ok(()), |path| writeln!(page, "{key} = {}", quoted(&path.to_string_lossy())))
}

fn list(items: &[impl AsRef<str>]) -> String {
    let items: Vec<_> = items.iter().map(|item| quoted(item.as_ref())).collect();
    format!("[{}]", items.join(", "))
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::super::testing::{TempFile, parsed};

    #[test]
    fn the_page_is_the_configuration_again_without_its_secrets() {
        let key = TempFile::new("masked-key", "file-secret");
        let path = key.path().display();
        let hash = "ab".repeat(32);
        let text = format!(
            r#"
            [server]
            max_connections = 7
            [server.tls]
            cert_file = "Cargo.toml"
            key_file = "Cargo.toml"
            client_ca_file = "Cargo.toml"
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
            jwks_url = "https://idp.example/keys"
            [[callers]]
            name = "a"
            key_sha256 = ["{hash}"]
            subject = "s"
            scopes = ["checks", "purge"]
            regions = ["my"]
            requests_per_second = 5
            [cache]
            max_bytes = 1000001
            [media]
            allowed_hosts = ["*.advance.ai"]
            [telemetry]
            log_format = "text"
            audit = false
            otlp_endpoint = "http://otel-collector:4318/"
            "#
        );
        let config = parsed(&text, &[]).unwrap();
        let (page, json) = (config.masked_toml(), config.masked());
        for secret in ["inline-secret", "file-secret", &hash] {
            assert!(!page.contains(secret) && !json.contains(secret), "{page}\n{json}");
        }
        let again = parsed(&page.replace("[\"***\"]", &format!("[\"{hash}\"]")), &[]).unwrap();
        assert_eq!((again.masked_toml(), again.masked()), (page.clone(), json.clone()));
        assert_eq!((again.server.max_connections, again.cache.max_bytes), (7, 1_000_001));
        assert!(page.contains("attempt_timeout = \"1500ms\"") && page.contains("audit = false"));
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["auth"]["jwt"]["issuer"], "an \"issuer\" \\");
        assert_eq!(json["telemetry"]["otlp_endpoint"], "http://otel-collector:4318");
        assert_eq!(json["callers"][0]["key_sha256"], serde_json::json!(["***"]));
        assert_eq!(
            (&json["server"]["max_connections"], &json["telemetry"]["audit"]),
            (&7.into(), &false.into())
        );
    }
}
