//! Any bytes as packets of a link, with time between them: each is heard or has a reason, and the election goes on.

#![no_main]

use evenkeel_machine::{Instant, Machine, Outbox};
use evenkeel_model::vrrp::{
    AdvertInterval, AntiReplay, Authentication, GROUP_V4, GROUP_V6, Hmac, HmacKey, HmacMode, Preempt, Priority, Reach,
    Rounds, Version, Vrid,
};
use evenkeel_vrrp::{Input, Instance, Packet, Receiver, Role, Settings, Terms, checksum, hmac::Timestamp};
use std::{net::IpAddr, num::NonZeroU8, time::Duration};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&[kind, priority], mut rest)) = bytes.split_first_chunk() else { return };
    let ipv6 = kind & 1 != 0;
    let version = if kind & 2 != 0 && !ipv6 { Version::Two } else { Version::Three };
    let address =
        |last| if ipv6 { IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, last]) } else { IpAddr::from([10, 9, 7, last as u8]) };
    let authentication = match (version, kind & 0xc) {
        (Version::Two, 4) => Authentication::Password(*b"secretpw"),
        (Version::Two, 8) => Authentication::Header(*b"secretpw"),
        _ => Authentication::None,
    };
    // Permissive, so that messages without a hash reach the election too.
    let hmac = (kind & 32 != 0).then(|| Hmac {
        keys: [(NonZeroU8::MIN, HmacKey::new(vec![7; 32]).expect("long enough"))].into(),
        active: Some(NonZeroU8::MIN),
        mode: HmacMode::Permissive,
        window: Duration::from_secs(5),
        anti_replay: if kind & 64 != 0 { AntiReplay::Monotonic } else { AntiReplay::Time },
    });
    let terms = Terms {
        version,
        vrid: Vrid::new(51).expect("not 0"),
        interval: AdvertInterval::DEFAULT,
        addresses: vec![address(100), address(101)],
        authentication,
        hmac,
        reach: Reach::Multicast,
    };
    let mut receiver = Receiver::new(terms);
    let mut instance = Instance::new(Settings {
        priority: Priority::new(priority).unwrap_or(Priority::DEFAULT),
        interval: Duration::from_secs(1),
        down_adverts: 3,
        preempt: if kind & 16 != 0 { Preempt::No } else { Preempt::After(Duration::ZERO) },
        answer_lower: true,
        rounds: Rounds::default(),
    });
    let own = address(2);
    let mut out = Outbox::new();
    let mut now = Instant::START;
    instance.handle(now, Input::Address(Some(own)), &mut out);
    instance.handle(now, Input::Start { since_renewal: None }, &mut out);
    while let Some((&[wait, length, how], more)) = rest.split_first_chunk() {
        let (packet, more) = more.split_at(more.len().min(length.into()));
        rest = more;
        now = now + Duration::from_millis(u64::from(wait) * 40);
        receiver.at(Timestamp::new(now - Instant::START));
        let mut packet = packet.to_vec();
        // A fuzzer does not guess checksums.
        let message = if ipv6 { 0 } else { 20 };
        if how & 1 != 0 && packet.len() >= message + 8 {
            let group = if ipv6 { GROUP_V6.into() } else { GROUP_V4.into() };
            let form = if version == Version::Two { checksum::Form::MessageOnly } else { checksum::Form::PseudoHeader };
            checksum::write(&mut packet[message..], form, address(9), group);
        }
        let read = if ipv6 {
            Ok(Packet::ipv6(address(9), GROUP_V6.into(), Some(255), &packet))
        } else {
            Packet::ipv4(&packet)
        };
        if let Ok(heard) = read.and_then(|packet| receiver.receive(&packet, own)) {
            instance.handle(now, Input::Heard(heard), &mut out);
        }
        if instance.deadline().is_some_and(|due| due <= now) {
            instance.handle_timeout(now, &mut out);
        }
        while out.pop().is_some() {}
        assert!(matches!(instance.role(), Role::Backup | Role::Master));
        assert!(instance.deadline().is_some(), "an election never stands still");
    }
});
