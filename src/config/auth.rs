//! `[auth]`: the mode, and whose JWTs are taken. Knows callers only by whether anyone could be let in.

use std::net::SocketAddr;

use super::files;
use super::reader::{Section, Setting};
use super::settings::{Auth, Caller, Jwks, Jwt};
use super::suggest;
use super::url::document_url;
use super::value::{Raw, text};

const MODES: [&str; 4] = ["keys", "jwt", "keys+jwt", "none"];

const NONE_IS_LOCAL: &str =
    "none lets everyone in, so server.listen must be loopback; write keys, or listen on 127.0.0.1";
const JWT_MISSING: &str = "missing; this mode needs [auth.jwt]: issuer, audience, and jwks_url or jwks_file";
const JWT_UNUSED: &str = "has no effect in this mode; set auth.mode to jwt or keys+jwt, or remove it";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    None,
    Keys,
    Jwt,
    KeysAndJwt,
}

pub(super) fn auth(root: &mut Section<'_>, listen: Option<SocketAddr>) -> Option<Auth> {
    let mut section = root.subsection_or_empty("auth");
    let mode = section.read("mode", mode).or(Mode::Keys);
    if mode == Some(Mode::None) && listen.is_some_and(|listen| !listen.ip().is_loopback()) {
        section.mistake("mode", NONE_IS_LOCAL);
    }
    let jwt = jwt(&mut section);
    let auth = match (mode, jwt) {
        (Some(Mode::None), Setting::Absent) => Some(Auth::None),
        (Some(Mode::Keys), Setting::Absent) => Some(Auth::Keys),
        (Some(Mode::Jwt), Setting::Given(jwt)) => Some(Auth::Jwt(jwt)),
        (Some(Mode::KeysAndJwt), Setting::Given(jwt)) => Some(Auth::KeysAndJwt(jwt)),
        (Some(Mode::Jwt | Mode::KeysAndJwt), Setting::Absent) => {
            section.mistake("jwt", JWT_MISSING);
            None
        }
        (Some(Mode::None | Mode::Keys), Setting::Given(_) | Setting::Wrong) => {
            section.mistake("jwt", JWT_UNUSED);
            None
        }
        (None, _) | (Some(Mode::Jwt | Mode::KeysAndJwt), Setting::Wrong) => None,
    };
    section.finish();
    auth
}

fn mode(raw: &Raw<'_>) -> Result<Mode, String> {
    match raw.text()? {
        "none" => Ok(Mode::None),
        "keys" => Ok(Mode::Keys),
        "jwt" => Ok(Mode::Jwt),
        "keys+jwt" => Ok(Mode::KeysAndJwt),
        other => Err(format!("unknown mode; {}", suggest::hint(other, &MODES))),
    }
}

fn jwt(auth: &mut Section<'_>) -> Setting<Jwt> {
    let mut section = match auth.subsection("jwt") {
        Setting::Absent => return Setting::Absent,
        Setting::Wrong => return Setting::Wrong,
        Setting::Given(section) => section,
    };
    let issuer = section.required("issuer", text, "write the iss of the tokens to take");
    let audience = section.required("audience", text, "write the aud that tokens for this gateway carry");
    let url = section.read("jwks_url", jwks_url);
    let file = section.read("jwks_file", |raw| files::readable(raw).map(Jwks::File));
    let jwks = section.one_of(("jwks_url", url), ("jwks_file", file));
    let ca_file = section.read("jwks_ca_file", files::readable).optional();
    let token_file = section.read("jwks_token_file", files::readable).optional();
    section.finish();
    match (issuer, audience, jwks, ca_file, token_file) {
        (Some(issuer), Some(audience), Some(jwks), Some(jwks_ca_file), Some(jwks_token_file)) => {
            Setting::Given(Jwt { issuer, audience, jwks, jwks_ca_file, jwks_token_file })
        }
        _ => Setting::Wrong,
    }
}

fn jwks_url(raw: &Raw<'_>) -> Result<Jwks, String> {
    let url = document_url(raw)?;
    if url.is_https() || url.is_loopback() {
        return Ok(Jwks::Url(url.to_string()));
    }
    Err("http lets the network choose the keys; write https (http only for a loopback host)".to_owned())
}

/// Notes that no caller could ever be let in.
pub(super) fn refuse_locked_door(root: &Section<'_>, auth: &Auth, callers: &[Caller]) {
    let has_key = |caller: &Caller| !caller.key_sha256.is_empty() || caller.key_sha256_file.is_some();
    let keys = callers.iter().any(has_key);
    let subjects = callers.iter().any(|caller| caller.subject.is_some());
    let (open, needed) = match auth {
        Auth::None => (true, ""),
        Auth::Keys => (keys, "key_sha256"),
        Auth::Jwt(_) => (subjects, "subject"),
        Auth::KeysAndJwt(_) => (keys || subjects, "key_sha256 or subject"),
    };
    if !open {
        root.mistake(
            "callers",
            &format!("nobody could be let in: write at least one of [[callers]] with a name and {needed}"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{CALLER, REGION, expect_mistakes, found, given, parsed};
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
        let Auth::Jwt(jwt) = parsed(&text, &[]).unwrap().auth else { panic!("not jwt") };
        assert_eq!(jwt.jwks, Jwks::Url("https://idp.example/keys?p=a".to_owned()));
        assert_eq!((jwt.issuer.as_str(), jwt.audience.as_str()), ("https://idp.example", "idv-gateway"));
        let text = format!("[auth]\nmode = \"keys+jwt\"\n{JWT}jwks_file = \"Cargo.toml\"");
        assert!(matches!(given(&text).unwrap().auth, Auth::KeysAndJwt(_)));
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
            (JWT, "auth.jwt", "no effect in this mode"),
            (&jwt(""), "auth.jwt.jwks_url", "missing; write jwks_url or jwks_file"),
            (
                &jwt("jwks_url = \"https://a.example\"\njwks_file = \"Cargo.toml\""),
                "auth.jwt.jwks_url",
                "keep one",
            ),
            (&jwt("jwks_url = \"http://idp.example\""), "auth.jwt.jwks_url", "https"),
            (&jwt("jwks_file = \"/nonexistent\""), "auth.jwt.jwks_file", "No such file"),
            (&jwt("isuer = \"a\""), "auth.jwt.isuer", "did you mean `issuer`?"),
            ("[auth.jwt]", "auth.jwt.issuer", "missing"),
            ("[auth.jwt]\naudience = \"\"", "auth.jwt.audience", "is empty"),
        ]);
    }

    #[test]
    fn somebody_can_be_let_in() {
        let callers = |auth: &str, callers: &str| found(&format!("{auth}\n{REGION}{callers}"), &[]);
        assert!(callers("", "")[0].message.contains("with a name and key_sha256"));
        assert_eq!(callers("", SUBJECT)[0].key, "callers");
        let jwt = format!("[auth]\nmode = \"jwt\"\n{JWT}jwks_file = \"Cargo.toml\"\n");
        assert!(callers(&jwt, CALLER)[0].message.contains("subject"));
        assert!(parsed(&format!("[auth]\nmode = \"none\"\n{REGION}"), &[]).is_ok());
    }
}
