//! Where data connections lead, as commands and replies say it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The argument of PORT: six numbers with commas between them (RFC 959 4.1.2).
pub(crate) fn of_port(text: &str) -> Option<SocketAddr> {
    let mut numbers = [0; 6];
    let mut words = text.trim().split(',');
    for number in &mut numbers {
        *number = byte(words.next()?)?;
    }
    let [a, b, c, d, high, low] = numbers;
    let address = SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), u16::from_be_bytes([high, low]));
    words.next().is_none().then_some(address)
}

/// A number of one to three digits.
fn byte(text: &str) -> Option<u8> {
    let digits = (1..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// The same the other way.
pub(crate) fn port(address: Ipv4Addr, port: u16) -> String {
    let [a, b, c, d] = address.octets();
    let [high, low] = port.to_be_bytes();
    format!("{a},{b},{c},{d},{high},{low}")
}

/// The argument of EPRT: `|1|192.0.2.1|1025|`, with any delimiter (RFC 2428 2).
pub(crate) fn of_eprt(text: &str) -> Option<SocketAddr> {
    let text = text.trim();
    let delimiter = text.chars().next().filter(char::is_ascii_graphic)?;
    let mut words = text.split(delimiter);
    let fields = [words.next()?, words.next()?, words.next()?, words.next()?, words.next()?];
    let ["", family, address, port, ""] = fields else { return None };
    let address: IpAddr = address.parse().ok()?;
    let fits = match family {
        "1" => address.is_ipv4(),
        "2" => address.is_ipv6(),
        _ => false,
    };
    let port = number(port)?;
    (fits && words.next().is_none()).then_some(SocketAddr::new(address, port))
}

/// The same the other way.
pub(crate) fn eprt(address: IpAddr, port: u16) -> String {
    let family = if address.is_ipv4() { 1 } else { 2 };
    format!("|{family}|{address}|{port}|")
}

/// A port in digits.
fn number(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// The port in the text of a 227 reply. Servers differ in what is around the six numbers (RFC 1123 4.1.2.6), and what
/// address they name is theirs to get wrong.
pub(crate) fn of_227(text: &str) -> Option<u16> {
    let is_number = |c: char| c.is_ascii_digit() || c == ',';
    text.split(|c: char| !is_number(c)).filter_map(|word| of_port(word.trim_matches(','))).map(|at| at.port()).next()
}

/// The port in the text of a 229 reply: `(|||1025|)`, with any delimiter (RFC 2428 3).
pub(crate) fn of_229(text: &str) -> Option<u16> {
    let (_, inside) = text.split_once('(')?;
    let (inside, _) = inside.split_once(')')?;
    let delimiter = inside.chars().next().filter(char::is_ascii_graphic)?;
    let mut words = inside.split(delimiter);
    let fields = [words.next()?, words.next()?, words.next()?, words.next()?, words.next()?];
    let ["", "", "", port, ""] = fields else { return None };
    words.next().is_none().then(|| number(port)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(text: &str) -> Option<SocketAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn arguments_of_port_are_six_bytes() {
        for (text, place) in [
            ("192,0,2,1,4,1", some("192.0.2.1:1025")),
            (" 192,0,2,1,255,255 ", some("192.0.2.1:65535")),
            ("192,0,2,1,4", None),
            ("192,0,2,1,4,1,1", None),
            ("192,0,2,1,256,1", None),
            ("192,0,2,1,+4,1", None),
            ("192,0,2,1,,1", None),
            ("", None),
        ] {
            assert_eq!(of_port(text), place, "{text:?}");
        }
        assert_eq!(port(Ipv4Addr::new(192, 0, 2, 1), 1025), "192,0,2,1,4,1");
    }

    #[test]
    fn arguments_of_eprt_have_the_family_of_their_address() {
        for (text, place) in [
            ("|1|192.0.2.1|1025|", some("192.0.2.1:1025")),
            ("!2!2001:db8::1!65535!", some("[2001:db8::1]:65535")),
            ("|2|192.0.2.1|1025|", None),
            ("|1|2001:db8::1|1025|", None),
            ("|3|192.0.2.1|1025|", None),
            ("|1|192.0.2.1|65536|", None),
            ("|1|192.0.2.1|+1|", None),
            ("|1|192.0.2.1|1025", None),
            ("|1|192.0.2.1|1025||", None),
            ("|1|www.example|1025|", None),
            ("|2|fe80::1%eth0|1025|", None),
            ("", None),
        ] {
            assert_eq!(of_eprt(text), place, "{text:?}");
        }
        assert_eq!(eprt("2001:db8::1".parse().unwrap(), 9), "|2|2001:db8::1|9|");
        assert_eq!(eprt("192.0.2.1".parse().unwrap(), 9), "|1|192.0.2.1|9|");
    }

    #[test]
    fn replies_have_their_port_in_any_wording() {
        for (text, port) in [
            ("Entering Passive Mode (192,0,2,1,4,1).", Some(1025)),
            ("Entering Passive Mode 192,0,2,1,4,1", Some(1025)),
            ("=192,0,2,1,4,1", Some(1025)),
            ("Passive, 192,0,2,1,4,1, thanks", Some(1025)),
            ("Entering Passive Mode (192,0,2,1,300,1).", None),
            ("Entering Passive Mode", None),
        ] {
            assert_eq!(of_227(text), port, "{text:?}");
        }
        for (text, port) in [
            ("Entering Extended Passive Mode (|||1025|)", Some(1025)),
            ("ok (!!!1025!) (|||1|)", Some(1025)),
            ("Entering Extended Passive Mode (|1|192.0.2.1|1025|)", None),
            ("Entering Extended Passive Mode (|||65536|)", None),
            ("Entering Extended Passive Mode |||1025|", None),
            ("()", None),
        ] {
            assert_eq!(of_229(text), port, "{text:?}");
        }
    }
}
