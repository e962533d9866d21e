//! The UDP probe, as keepalived's UDP_CHECK: a datagram is sent, and the port is up unless the network says that it
//! cannot be reached. Where an answer is wanted, silence is a failure as well.

use crate::{
    Progress,
    connect::{datagrams, failure, text},
};
use evenkeel_health::{Phase, Reason};
use evenkeel_model::{Origin, Udp, UdpReply};
use std::{io, time::Duration};
use tokio::time::Instant;

/// What is sent where the check does not say.
const PAYLOAD: &[u8] = b"evenkeel check - evenkeel check - evenkeel check";

/// Time kept back of an attempt that ends well by waiting to its end.
const SPARE: Duration = Duration::from_millis(5);

/// Bytes of an answer that are shown.
const SHOWN: usize = 8;

/// Sends the datagram and waits for what comes back.
pub(crate) async fn attempt(udp: &Udp, origin: &Origin, timeout: Duration, phase: &Progress) -> Result<String, Reason> {
    phase.set(Phase::Datagram);
    let until = Instant::now() + timeout.saturating_sub(SPARE.min(timeout / 2));
    let target = udp.target;
    let failed = |error: io::Error| failure(&error, target.ip(), Reason::PortUnreachable { target });
    let socket = datagrams(target, origin).await.map_err(failed)?;
    socket.send(udp.payload.as_deref().unwrap_or(PAYLOAD)).await.map_err(failed)?;
    // One byte more than may come shows that more came.
    let most = udp.reply.as_ref().map_or(0, |reply| usize::from(reply.length.1));
    let mut answer = vec![0; most + 1];
    let received = socket.recv(&mut answer);
    let Some(wanted) = &udp.reply else {
        return match tokio::time::timeout_at(until, received).await {
            Ok(Ok(_)) => Ok("answered".to_owned()),
            Ok(Err(error)) => Err(failed(error)),
            Err(_elapsed) => Ok("no error came back".to_owned()),
        };
    };
    let length = received.await.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidInput => Reason::BadAnswer(text(&error)),
        _ => failed(error),
    })?;
    judge(wanted, answer.get(..length).unwrap_or_default())?;
    Ok(format!("answered, {length} bytes"))
}

/// Without bytes to compare with, keepalived looks at the length no more than at the content.
fn judge(wanted: &UdpReply, answer: &[u8]) -> Result<(), Reason> {
    if wanted.begins.is_empty() {
        return Ok(());
    }
    let (least, most) = wanted.length;
    if !(usize::from(least)..=usize::from(most)).contains(&answer.len()) {
        let more = if answer.len() > usize::from(most) { "more than " } else { "" };
        let came = answer.len().min(usize::from(most));
        return Err(Reason::BadAnswer(format!("{more}{came} bytes, wanted {least} to {most}")));
    }
    let fits = |((byte, ignored), got): (&(u8, u8), &u8)| (byte ^ got) & !ignored == 0;
    if wanted.begins.iter().zip(answer).all(fits) {
        return Ok(());
    }
    let shown: Vec<String> = answer.iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect();
    let more = if answer.len() > SHOWN { " ..." } else { "" };
    Err(Reason::BadAnswer(format!("it does not begin as wanted: {}{more}", shown.join(" "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(begins: &[(u8, u8)], least: u16, most: u16) -> UdpReply {
        UdpReply { begins: begins.to_vec(), length: (least, most) }
    }

    #[test]
    fn an_answer_is_compared_as_far_as_both_go() {
        let bytes = [(0xab, 0), (0x10, 0x0f)];
        for (answer, good) in
            [(&[0xab, 0x1f][..], true), (&[0xab], true), (&[], true), (&[0xab, 0x2f], false), (&[0xac], false)]
        {
            assert_eq!(judge(&wanted(&bytes, 0, 255), answer).is_ok(), good, "{answer:02x?}");
        }
        assert!(judge(&wanted(&bytes, 0, 255), &[0xab, 0x10, 0xff]).is_ok(), "what follows does not count");
    }

    #[test]
    fn lengths_count_only_together_with_bytes() {
        assert!(judge(&wanted(&[], 4, 4), &[1]).is_ok());
        let why = judge(&wanted(&[(1, 0)], 2, 3), &[1]).unwrap_err();
        assert_eq!(why, Reason::BadAnswer("1 bytes, wanted 2 to 3".into()));
        let why = judge(&wanted(&[(1, 0)], 0, 1), &[1, 2]).unwrap_err();
        assert_eq!(why, Reason::BadAnswer("more than 1 bytes, wanted 0 to 1".into()));
    }
}
