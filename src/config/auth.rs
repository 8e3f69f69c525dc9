//! `[auth]`: how callers prove who they are, and whose tokens are accepted.

use super::mistake::hint;
use super::reader::Section;
use super::secret::{certificates, parsed_file, readable, secret};
use super::url::{document_url, is_loopback};
use super::value::{Parsed, Raw, text};
use crate::settings::{Auth, Caller, Jwks, Jwt, Server};

const MODES: [&str; 4] = ["keys", "jwt", "keys+jwt", "none"];

pub(super) fn auth(section: &mut Section<'_>) -> Auth {
    let mode = section.read("mode", mode).unwrap_or("keys");
    let jwt = section.optional("jwt", jwt);
    let takes_tokens = matches!(mode, "jwt" | "keys+jwt");
    if takes_tokens && jwt.is_none() {
        let message = "missing; this mode needs [auth.jwt]: issuer, audience, and jwks_url or jwks_file";
        section.notes().conflict("auth.jwt", "auth.mode", message);
    }
    if !takes_tokens && jwt.is_some() {
        let message = "[auth.jwt] has no effect in this mode; write jwt or keys+jwt, or remove that section";
        section.notes().conflict("auth.mode", "auth.mode", message);
    }
    let jwt = jwt.unwrap_or_default();
    match mode {
        "jwt" => Auth::Jwt { jwt },
        "keys+jwt" => Auth::KeysAndJwt { jwt },
        "none" => Auth::None,
        _ => Auth::Keys,
    }
}

fn mode(raw: &Raw) -> Parsed<&'static str> {
    let text = raw.text()?;
    let known = MODES.into_iter().find(|mode| *mode == text);
    known.ok_or_else(|| format!("unknown mode; {}", hint(text, &MODES)))
}

fn jwt(section: &mut Section<'_>) -> Jwt {
    let issuer = section.required("issuer", text, "write the iss of the tokens to accept");
    let audience = section.required("audience", text, "write the aud that tokens for this gateway carry");
    let file = |raw: &Raw| readable(raw).map(Jwks::File);
    let jwks = section.one_of(("jwks_url", jwks_url), ("jwks_file", file));
    Jwt {
        issuer: issuer.unwrap_or_default(),
        audience: audience.unwrap_or_default(),
        jwks: jwks.unwrap_or_default(),
        jwks_ca_file: section.read("jwks_ca_file", certificates),
        jwks_token_file: section.read("jwks_token_file", |raw| parsed_file(raw, secret)),
    }
}

fn jwks_url(raw: &Raw) -> Parsed<Jwks> {
    let url = document_url(raw)?;
    if url.scheme() == "https" || is_loopback(&url) {
        return Ok(Jwks::Url(url.into()));
    }
    Err("http lets the network choose the keys; write https (http only for a loopback host)".to_owned())
}

/// Refuses a configuration without authentication on a reachable address, and one without a caller that could authenticate.
pub(super) fn refuse_open_or_locked(root: &Section<'_>, auth: &Auth, server: &Server, callers: &[Caller]) {
    if *auth == Auth::None && !server.listen.ip().is_loopback() {
        let message =
            "none accepts everyone, so server.listen must be loopback; write keys, or listen on 127.0.0.1";
        root.notes().conflict("auth.mode", "server.listen", message);
    }
    let keys = callers.iter().any(|caller| !caller.key_sha256.is_empty() || caller.key_sha256_file.is_some());
    let subjects = callers.iter().any(|caller| caller.subject.is_some());
    let (is_open, needed) = match auth {
        Auth::None => (true, ""),
        Auth::Keys => (keys, "key_sha256"),
        Auth::Jwt { .. } => (subjects, "subject"),
        Auth::KeysAndJwt { .. } => (keys || subjects, "key_sha256 or subject"),
    };
    if !is_open {
        let message = format!("no caller could authenticate; add [[callers]] with a name and {needed}");
        root.notes().conflict("callers", "auth.mode", &message);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{CALLER, REGION, expect_mistakes, given, keys, parsed};
    use super::*;

    const JWT: &str = "[auth.jwt]\nissuer = \"https://idp.example\"\naudience = \"idv-gateway\"\n";
    const SUBJECT: &str = "[[callers]]\nname = \"a\"\nsubject = \"s\"\n";

    #[test]
    fn modes_are_read() {
        assert_eq!(given("").unwrap().auth, Auth::Keys);
        assert_eq!(given("[auth]\nmode = \"none\"").unwrap().auth, Auth::None);
        let text = format!(
            "[auth]\nmode = \"jwt\"\n{JWT}jwks_url = \"https://idp.example/keys?p=a\"\n{REGION}{SUBJECT}"
        );
        let Auth::Jwt { jwt } = parsed(&text, &[]).unwrap().auth else { panic!("not jwt") };
        assert_eq!(jwt.jwks, Jwks::Url("https://idp.example/keys?p=a".to_owned()));
        assert_eq!((jwt.issuer.as_str(), jwt.audience.as_str()), ("https://idp.example", "idv-gateway"));
        let text = format!("[auth]\nmode = \"keys+jwt\"\n{JWT}jwks_file = \"Cargo.toml\"");
        assert!(matches!(given(&text).unwrap().auth, Auth::KeysAndJwt { .. }));
        let text = text.replace("jwks_file = \"Cargo.toml\"", "jwks_url = \"http://127.0.0.1:9/keys\"");
        assert!(given(&text).is_ok());
    }

    #[test]
    fn bad_auth_is_named() {
        let jwt = |line: &str| format!("[auth]\nmode = \"keys+jwt\"\n{JWT}{line}");
        expect_mistakes(&[
            ("[auth]\nmode = \"key\"", "auth.mode", "did you mean `keys`?"),
            ("[auth]\nmode = \"jwt\"", "auth.jwt", "missing; this mode needs [auth.jwt]"),
            ("[server]\nlisten = \"0.0.0.0:8080\"\n[auth]\nmode = \"none\"", "auth.mode", "loopback"),
            (JWT, "auth.mode", "no effect in this mode"),
            (&jwt(""), "auth.jwt.jwks_url", "missing; write jwks_url or jwks_file"),
            (
                &jwt("jwks_url = \"https://a.example\"\njwks_file = \"Cargo.toml\""),
                "auth.jwt.jwks_url",
                "keep one",
            ),
            (&jwt("jwks_url = \"http://idp.example\""), "auth.jwt.jwks_url", "https"),
            (&jwt("jwks_file = \"/nonexistent\""), "auth.jwt.jwks_file", "/nonexistent: No such file"),
            (&jwt("isuer = \"a\""), "auth.jwt.isuer", "did you mean `issuer`?"),
            ("[auth.jwt]", "auth.jwt.issuer", "missing"),
            ("[auth.jwt]\naudience = \"\"", "auth.jwt.audience", "is empty"),
        ]);
    }

    #[test]
    fn somebody_can_authenticate() {
        let callers = |auth: &str, callers: &str| keys(&format!("{auth}\n{REGION}{callers}"));
        let jwt = format!("[auth]\nmode = \"jwt\"\n{JWT}jwks_file = \"Cargo.toml\"\n");
        for (auth, caller) in [("", ""), ("", SUBJECT), (&*jwt, CALLER)] {
            assert_eq!(callers(auth, caller), ["callers"], "{auth}{caller}");
        }
        assert!(callers("[auth]\nmode = \"none\"", "").is_empty());
        assert_eq!(callers("[auth]\nmode = \"jwt\"", SUBJECT), ["auth.jwt"], "the caller is right");
    }
}
