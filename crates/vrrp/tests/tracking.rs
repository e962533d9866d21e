//! What an instance makes of what it tracks.

use evenkeel_machine::{Instant, Machine, Outbox};
use evenkeel_model::vrrp::{Preempt, Priority, Rounds};
use evenkeel_vrrp::{Input, Instance, Output, Role, Settings, Why};
use std::{net::IpAddr, time::Duration};

const OWN: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

fn at(millis: u64) -> Instant {
    Instant::at(Duration::from_millis(millis))
}

struct Bed {
    instance: Instance,
    out: Outbox<Output>,
}

impl Bed {
    fn new(priority: u8) -> Bed {
        let settings = Settings {
            priority: Priority::new(priority).unwrap_or(Priority::DEFAULT),
            interval: Duration::from_secs(1),
            down_adverts: 3,
            preempt: Preempt::After(Duration::ZERO),
            answer_lower: true,
            rounds: Rounds::default(),
        };
        let mut bed = Bed { instance: Instance::new(settings), out: Outbox::new() };
        bed.tell(0, Input::Address(Some(OWN)));
        bed
    }

    fn tell(&mut self, millis: u64, input: Input) -> Vec<Output> {
        self.instance.handle(at(millis), input, &mut self.out);
        self.out.drain().collect()
    }

    /// Lets time pass until the instance wants to be called, and calls it.
    fn wait(&mut self) -> (Instant, Vec<Output>) {
        let due = self.instance.deadline().unwrap_or(Instant::START);
        self.instance.handle_timeout(due, &mut self.out);
        (due, self.out.drain().collect())
    }
}

fn turned(outputs: &[Output]) -> Option<(Role, Why)> {
    outputs.iter().find_map(|output| match output {
        Output::Turned { to, why, .. } => Some((*to, *why)),
        _ => None,
    })
}

#[test]
fn an_instance_whose_script_was_not_run_yet_waits_for_it() {
    let mut bed = Bed::new(100);
    bed.tell(0, Input::Unknown(true));
    let begun = bed.tell(0, Input::Start { since_renewal: None });
    assert_eq!(turned(&begun), Some((Role::Fault, Why::Unknown)));
    assert_eq!(turned(&bed.tell(500, Input::Unknown(false))), Some((Role::Backup, Why::Known)));
}

#[test]
fn a_master_that_a_crash_interrupted_does_not_wait_for_its_scripts() {
    let mut bed = Bed::new(100);
    bed.tell(0, Input::Unknown(true));
    let begun = bed.tell(0, Input::Start { since_renewal: Some(Duration::from_millis(400)) });
    assert_eq!(turned(&begun), Some((Role::Master, Why::Resumed)));
    assert_eq!(turned(&bed.tell(100, Input::Unknown(false))), None);
}

#[test]
fn a_reload_that_adds_a_script_does_not_disturb_a_master() {
    let mut bed = Bed::new(100);
    bed.tell(0, Input::Start { since_renewal: None });
    assert_eq!(turned(&bed.wait().1), Some((Role::Master, Why::Silence)));
    assert_eq!(bed.tell(5000, Input::Unknown(true)), vec![]);
    assert_eq!(bed.instance.role(), Role::Master);
}

#[test]
fn a_priority_that_changes_moves_the_time_at_which_a_backup_stands() {
    let mut bed = Bed::new(100);
    bed.tell(0, Input::Start { since_renewal: None });
    let skew = |priority: u32| Duration::from_millis(3000) + Duration::from_secs(1) * (256 - priority) / 256;
    assert_eq!(bed.instance.deadline(), Some(Instant::at(skew(100))));
    bed.tell(1000, Input::Adjust(50));
    assert_eq!(bed.instance.deadline(), Some(Instant::at(skew(150))));
    bed.tell(1000, Input::Adjust(-300));
    assert_eq!(bed.instance.deadline(), Some(Instant::at(skew(1))));
}

#[test]
fn weights_do_not_touch_an_owner() {
    let mut bed = Bed::new(255);
    bed.tell(0, Input::Adjust(-100));
    assert_eq!(turned(&bed.tell(0, Input::Start { since_renewal: None })), Some((Role::Master, Why::Owner)));
    assert_eq!(bed.instance.priority(), Priority::OWNER);
    assert_eq!(turned(&bed.tell(1, Input::Broken(true))), Some((Role::Fault, Why::Broken)));
}

#[test]
fn a_backup_counts_from_the_end_of_the_start_up_delay() {
    let mut bed = Bed::new(100);
    bed.tell(0, Input::NotBefore(at(5000)));
    bed.tell(0, Input::Start { since_renewal: None });
    let (due, outputs) = bed.wait();
    assert_eq!(due, at(8000) + Duration::from_secs(1) * 156 / 256);
    assert_eq!(turned(&outputs), Some((Role::Master, Why::Silence)));
}

#[test]
fn an_owner_waits_out_the_start_up_delay_and_no_longer() {
    let mut bed = Bed::new(255);
    bed.tell(0, Input::NotBefore(at(5000)));
    bed.tell(0, Input::Start { since_renewal: None });
    let (due, outputs) = bed.wait();
    assert_eq!((due, turned(&outputs)), (at(5000), Some((Role::Master, Why::Silence))));
}
