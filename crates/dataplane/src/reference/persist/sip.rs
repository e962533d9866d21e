//! Finds the call that a SIP message belongs to (PP-36; RFC 3261 sections 7.3 and 20.8).

/// How far the Call-ID is looked for.
const REACH: usize = 512;

/// The Call-ID in a datagram's payload: of the first header line so named, what stands behind the colon up to a blank or
/// the line's end, which must be within reach.
pub(super) fn call_id(payload: &[u8]) -> Option<&[u8]> {
    let reached = &payload[..payload.len().min(REACH)];
    let lines = reached.split_inclusive(|byte| *byte == b'\n').skip(1).filter(|line| line.ends_with(b"\n"));
    let mut headers = lines.map(<[u8]>::trim_ascii_end).take_while(|line| !line.is_empty());
    headers.find_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = (line[..colon].trim_ascii_end(), line[colon + 1..].trim_ascii_start());
        let is_call_id = name.eq_ignore_ascii_case(b"Call-ID") || name.eq_ignore_ascii_case(b"i");
        let id = value.split(u8::is_ascii_whitespace).next().unwrap_or_default();
        (is_call_id && !id.is_empty()).then_some(id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_known_by_either_name_of_its_header() {
        let first = b"INVITE sip:bob@example.net SIP/2.0\r\n";
        let of = |rest: &[u8]| call_id(&[first, rest].concat()).map(<[u8]>::to_vec);
        assert_eq!(of(b"To: bob\r\nCall-ID: a84b4c76e66710@pc33\r\n\r\n"), Some(b"a84b4c76e66710@pc33".to_vec()));
        assert_eq!(of(b"call-id :  x \r\n"), Some(b"x".to_vec()));
        assert_eq!(of(b"i:y\r\n"), Some(b"y".to_vec()));
        assert_eq!(of(b"Subject: Call-ID: z\r\n"), None);
        assert_eq!(of(b"Call-ID: cut"), None);
        assert_eq!(of(b"Call-ID:\r\n"), None);
        assert_eq!(of(b"Call-ID: a b\r\n"), Some(b"a".to_vec()));
        assert_eq!(of(b"\r\nCall-ID: body\r\n"), None);
    }

    #[test]
    fn what_is_beyond_reach_is_not_found() {
        let far = [b"INVITE x SIP/2.0\r\nSubject: ".as_slice(), &[b'.'; 500], b"\r\nCall-ID: a\r\n"].concat();
        assert_eq!(call_id(&far), None);
    }
}
