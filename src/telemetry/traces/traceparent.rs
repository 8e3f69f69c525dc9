//! The W3C header `traceparent`: which span of a caller's a request belongs to. Read strictly; what is not exactly one
//! is ignored: it is no reason to refuse the request.

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// Reads a `traceparent`: version, trace, span and flags in lower-case hexadecimal digits, with hyphens between.
/// A later version than ours may have more after them.
pub(super) fn parse(text: &str) -> Option<SpanContext> {
    let mut fields = text.splitn(5, '-');
    let mut field = |length| fields.next().filter(|field| field.len() == length && is_hex(field));
    let (version, trace, span, flags) = (field(2)?, field(32)?, field(16)?, field(2)?);
    if version == "ff" || version == "00" && fields.next().is_some() {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let parent = SpanContext::new(trace, span, flags, true, TraceState::NONE);
    parent.is_valid().then_some(parent)
}

/// The trace that a `traceparent` names, in hexadecimal digits.
pub fn trace_id(text: &str) -> Option<String> {
    parse(text).map(|parent| parent.trace_id().to_string())
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn a_traceparent_names_trace_and_span_and_says_whether_they_are_sampled() {
        for (flags, is_sampled) in [("00", false), ("01", true), ("02", false), ("ff", true)] {
            let parent = parse(&format!("00-{TRACE}-{SPAN}-{flags}")).unwrap();
            assert_eq!(
                (parent.trace_id().to_string(), parent.span_id().to_string()),
                (TRACE.into(), SPAN.into())
            );
            assert!(parent.is_sampled() == is_sampled && parent.is_remote(), "{flags}");
        }
        assert!(parse(&format!("01-{TRACE}-{SPAN}-01-more-of-it")).is_some(), "a later version");
    }

    #[test]
    fn what_is_not_exactly_a_traceparent_is_none() {
        let (zeros, upper) = ("0".repeat(32), TRACE.to_uppercase());
        for bad in [
            "",
            "00",
            "----",
            &format!("00-{TRACE}-{SPAN}"),
            &format!("00-{TRACE}-{SPAN}-1"),
            &format!("00-{TRACE}-{SPAN}-01-"),
            &format!("00-{TRACE}-{SPAN}-01 "),
            &format!("ff-{TRACE}-{SPAN}-01"),
            &format!("0-{TRACE}-{SPAN}-01"),
            &format!("00-{upper}-{SPAN}-01"),
            &format!("00-{zeros}-{SPAN}-01"),
            &format!("00-{TRACE}-{}-01", &zeros[..16]),
            &format!("00-{}-{SPAN}-01", &TRACE[1..]),
            &format!("00-+{}-{SPAN}-01", &TRACE[1..]),
            &format!("00-{TRACE}-{SPAN}-+1"),
            &format!("00-{TRACE}-é{}-01", &SPAN[2..]),
        ] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }
}
