//! Actions on resources: what is run, with what environment, and what its end means.

use crate::stage::{LONG, Stage, is_gone, run, until};
use evenkeel_agents::{Agents, Places};
use evenkeel_model::heartbeat::{Agent, Monitor, Resource};
use evenkeel_resource::{Action, Order, Outcome, Task};
use std::{cell::RefCell, path::Path, rc::Rc, sync::Arc, time::Duration};

const ALL: [Action; 4] = [Action::Start, Action::Stop, Action::Status, Action::Monitor];

fn order(task: u64, agent: Agent, action: Action) -> Order {
    let resource = Resource {
        name: "Files::/dev/sda1".into(),
        agent,
        start_within: LONG,
        stop_within: LONG,
        monitor: Some(Monitor { every: Duration::from_secs(15), within: LONG, restarts: 1 }),
    };
    Order { task: Task(task), group: "web".into(), resource: Arc::new(resource), action, within: LONG }
}

fn script(name: &str) -> Agent {
    Agent::Script { name: name.into(), arguments: vec!["/dev/sda1".into(), "a b".into()] }
}

fn outcomes(places: Places, orders: Vec<Order>) -> Vec<Outcome> {
    let told = Rc::new(RefCell::new(Vec::new()));
    let into = Rc::clone(&told);
    let many = orders.len();
    run(async {
        let agents = Agents::new(places, move |task, outcome| into.borrow_mut().push((task, outcome)));
        orders.into_iter().for_each(|order| agents.run(order));
        until("all have ended", || told.borrow().len() == many).await;
    });
    let mut told = told.take();
    told.sort_by_key(|(task, _)| *task);
    told.into_iter().map(|(_, outcome)| outcome).collect()
}

fn outcome(stage: &Stage, agent: Agent, action: Action) -> Outcome {
    outcomes(stage.places(), vec![order(1, agent, action)]).remove(0)
}

fn failed(why: &str) -> Outcome {
    Outcome::Failed { why: why.into() }
}

#[test]
fn a_script_gets_its_arguments_before_the_action_and_the_environment_of_heartbeat() {
    let stage = Stage::new();
    stage.script(
        "resource.d/disk",
        r#"echo "$# $1 $2 $3 $HA_CURHOST $HA_color $LC_ALL $PWD" >> $STAGE/calls; echo running"#,
    );
    let orders = ALL.into_iter().map(|action| order(1, script("disk"), action));
    for order in orders {
        assert_eq!(outcomes(stage.places(), vec![order]), [Outcome::Done]);
    }
    let line = |action: &str, locale: &str| format!("3 /dev/sda1 a b {action} ha1 blue {locale} /\n");
    let (start, stop, status) = (line("start", ""), line("stop", ""), line("status", "C"));
    assert_eq!(stage.text("calls"), format!("{start}{stop}{status}{status}"));
}

#[test]
fn scripts_of_heartbeat_come_before_those_of_init_and_must_be_executable() {
    let stage = Stage::new();
    stage.script("resource.d/web", "echo heartbeat >> $STAGE/calls");
    stage.script("init.d/web", "echo init >> $STAGE/calls");
    stage.script("init.d/mail", "echo mail >> $STAGE/calls");
    std::fs::write(stage.path("resource.d/mail"), "not executable").unwrap();
    assert_eq!(outcome(&stage, script("web"), Action::Start), Outcome::Done);
    assert_eq!(outcome(&stage, script("mail"), Action::Start), Outcome::Done);
    assert_eq!(stage.text("calls"), "heartbeat\nmail\n");
}

#[test]
fn of_a_script_of_heartbeat_the_words_of_its_status_count_and_not_its_exit() {
    let stage = Stage::new();
    for (said, exit, runs) in [
        ("running", 1, true),
        ("Running", 3, true),
        ("status OK", 0, true),
        ("not running", 0, false),
        ("web is NOT running; OK", 0, false),
        ("stopped", 0, false),
        ("ok", 0, false),
        ("", 0, false),
    ] {
        stage.script("resource.d/web", &format!("echo '{said}'; exit {exit}"));
        let want = if runs { Outcome::Done } else { Outcome::NotRunning };
        assert_eq!(outcome(&stage, script("web"), Action::Status), want, "{said:?} {exit}");
    }
}

#[test]
fn of_a_script_of_init_the_exit_of_its_status_counts() {
    let stage = Stage::new();
    for (exit, want) in [
        (0, Outcome::Done),
        (1, Outcome::NotRunning),
        (2, Outcome::NotRunning),
        (3, Outcome::NotRunning),
        (4, failed("exit status 4: running?")),
    ] {
        stage.script("init.d/web", &format!("echo running?; exit {exit}"));
        assert_eq!(outcome(&stage, script("web"), Action::Monitor), want, "{exit}");
    }
    stage.script("init.d/web", "exit 5");
    assert_eq!(outcome(&stage, script("web"), Action::Start), failed("not installed, exit status 5"));
    assert_eq!(outcome(&stage, script("web"), Action::Stop), Outcome::NotRunning);
}

#[test]
fn the_reason_is_the_last_line_of_what_it_complained_of() {
    let stage = Stage::new();
    stage.script(
        "resource.d/web",
        "echo fine; echo first >&2; printf '\\033[1mno such disk\\n\\n' >&2; echo after; exit 7",
    );
    assert_eq!(outcome(&stage, script("web"), Action::Start), failed("exit status 7: [1mno such disk"));
    stage.script("resource.d/web", "echo only this; kill -9 $$");
    assert_eq!(outcome(&stage, script("web"), Action::Stop), failed("ended by signal 9: only this"));
}

#[test]
fn a_script_that_is_not_there_cannot_be_started_and_has_stopped() {
    let stage = Stage::new();
    let why = format!(
        "there is no script `gone` in {}, {}",
        stage.path("resource.d").display(),
        stage.path("init.d").display()
    );
    assert_eq!(outcome(&stage, script("gone"), Action::Start), failed(&why));
    assert_eq!(outcome(&stage, script("gone"), Action::Status), failed(&why));
    assert_eq!(outcome(&stage, script("gone"), Action::Stop), Outcome::NotRunning);
    assert_eq!(outcome(&stage, script("/no/such"), Action::Start), failed("there is no script /no/such"));
}

#[test]
fn an_ocf_agent_gets_its_parameters_and_what_it_returns_has_a_name() {
    let stage = Stage::new();
    let agent = || Agent::Ocf {
        provider: "heartbeat".into(),
        name: "Files".into(),
        parameters: vec![("device".into(), "/dev/sda1".into()), ("fstype".into(), "ext4".into())],
    };
    stage.script(
        "ocf/resource.d/heartbeat/Files",
        r#"echo "$1 $OCF_RESKEY_device $OCF_RESKEY_fstype $OCF_RESOURCE_INSTANCE $OCF_RESOURCE_TYPE $OCF_RESOURCE_PROVIDER \
$OCF_ROOT $OCF_RESKEY_CRM_meta_timeout $OCF_RESKEY_CRM_meta_interval" >> $STAGE/calls
exit $(cat $STAGE/exit)"#,
    );
    let exits = |exit: i32, action| {
        std::fs::write(stage.path("exit"), exit.to_string()).unwrap();
        outcome(&stage, agent(), action)
    };
    assert_eq!(exits(0, Action::Start), Outcome::Done);
    assert_eq!(exits(7, Action::Status), Outcome::NotRunning);
    assert_eq!(exits(8, Action::Monitor), Outcome::Done);
    assert_eq!(exits(1, Action::Monitor), failed("exit status 1"));
    assert_eq!(exits(6, Action::Start), failed("not configured, exit status 6"));
    assert_eq!(exits(5, Action::Stop), Outcome::NotRunning);
    assert_eq!(exits(1, Action::Stop), failed("exit status 1"));
    let root = stage.path("ocf").display().to_string();
    let line = |verb: &str, every: u32| {
        format!("{verb} /dev/sda1 ext4 Files___dev_sda1 Files heartbeat {root} 30000 {every}\n")
    };
    let calls = stage.text("calls");
    assert_eq!(calls.lines().next().unwrap(), line("start", 0).trim_end());
    assert_eq!(calls.lines().nth(1).unwrap(), line("monitor", 0).trim_end(), "the question before a start");
    assert_eq!(calls.lines().nth(2).unwrap(), line("monitor", 15000).trim_end());
    let missing = Agent::Ocf { provider: "heartbeat".into(), name: "Gone".into(), parameters: vec![] };
    assert!(
        matches!(outcome(&stage, missing, Action::Start), Outcome::Failed { why } if why.starts_with("there is no resource agent "))
    );
}

#[test]
fn a_unit_is_started_and_asked_by_systemctl() {
    let stage = Stage::new();
    stage.script("bin/systemctl", r#"echo "$*" >> $STAGE/calls; . $STAGE/answer"#);
    let answer = |text: &str, action| {
        std::fs::write(stage.path("answer"), text).unwrap();
        outcome(&stage, Agent::Systemd { unit: "nginx.service".into() }, action)
    };
    assert_eq!(answer("exit 0", Action::Start), Outcome::Done);
    assert_eq!(answer("exit 0", Action::Stop), Outcome::Done);
    assert_eq!(answer("echo active", Action::Status), Outcome::Done);
    assert_eq!(stage.text("calls"), "start nginx.service\nstop nginx.service\nis-active nginx.service\n");
    assert_eq!(answer("echo inactive; exit 3", Action::Status), Outcome::NotRunning);
    assert_eq!(answer("echo failed; exit 3", Action::Monitor), failed("systemd calls it failed"));
    let refused = "echo 'Job for nginx.service failed.' >&2; echo 'See systemctl status' >&2; exit 1";
    assert_eq!(answer(refused, Action::Start), failed("exit status 1: Job for nginx.service failed."));
    assert_eq!(answer("echo 'Unit nginx.service not loaded.' >&2; exit 5", Action::Stop), Outcome::NotRunning);
}

#[test]
fn at_its_deadline_an_action_is_killed_with_its_children() {
    let stage = Stage::new();
    stage.script("resource.d/web", "sleep 300 & echo $! > $STAGE/pid.new; mv $STAGE/pid.new $STAGE/pid; wait");
    let late = Order { within: Duration::from_millis(700), ..order(1, script("web"), Action::Start) };
    assert_eq!(outcomes(stage.places(), vec![late]), [Outcome::TimedOut]);
    run(until("its child is gone", || is_gone(&stage.path("pid"))));
}

#[test]
fn a_cancelled_action_is_killed_and_not_told() {
    let stage = Stage::new();
    stage.script("resource.d/web", "echo $$ > $STAGE/pid.new; mv $STAGE/pid.new $STAGE/pid; sleep 300");
    stage.script("resource.d/mail", "exit 0");
    let told = Rc::new(RefCell::new(Vec::new()));
    let into = Rc::clone(&told);
    run(async {
        let agents = Agents::new(stage.places(), move |task, _| into.borrow_mut().push(task));
        agents.run(order(1, script("web"), Action::Monitor));
        until("it runs", || stage.path("pid").exists()).await;
        agents.cancel(Task(1));
        until("it is gone", || is_gone(&stage.path("pid"))).await;
        agents.run(order(2, script("mail"), Action::Start));
        until("another one has ended", || !told.borrow().is_empty()).await;
    });
    assert_eq!(told.take(), [Task(2)]);
}

#[test]
fn what_a_start_leaves_running_lives_on_and_can_write() {
    let stage = Stage::new();
    stage.script(
        "resource.d/web",
        "(while [ ! -e $STAGE/go ]; do sleep 0.01; done; echo still here || exit 1; echo said > $STAGE/said) & exit 0",
    );
    run(async {
        let told = Rc::new(RefCell::new(Vec::new()));
        let into = Rc::clone(&told);
        let agents = Agents::new(stage.places(), move |_, outcome| into.borrow_mut().push(outcome));
        agents.run(order(1, script("web"), Action::Start));
        until("it has ended", || !told.borrow().is_empty()).await;
        assert_eq!(told.take(), [Outcome::Done], "though what it left holds its output open");
        std::fs::write(stage.path("go"), "").unwrap();
        until("it could write", || stage.path("said").exists()).await;
    });
}

#[test]
fn one_that_never_stops_writing_is_bounded_and_its_last_words_are_kept() {
    let stage = Stage::new();
    stage.script("resource.d/web", "yes noise | head -c 3000000; echo the end; exit 1");
    assert_eq!(outcome(&stage, script("web"), Action::Start), failed("exit status 1: the end"));
}

#[test]
fn slow_looks_keep_no_start_waiting() {
    let stage = Stage::new();
    stage.script("resource.d/slow", "while [ ! -e $STAGE/started ]; do sleep 0.02; done; echo running");
    stage.script("resource.d/quick", "touch $STAGE/started");
    let looks = (0..100).map(|task| order(task, script("slow"), Action::Monitor));
    let orders = looks.chain([order(100, script("quick"), Action::Start)]).collect();
    assert!(outcomes(stage.places(), orders).iter().all(|outcome| *outcome == Outcome::Done));
}

/// A real one of the resource-agents package.
#[test]
fn a_real_resource_agent_starts_tells_and_stops() {
    let root = Path::new("/usr/lib/ocf");
    if !root.join("resource.d/heartbeat/anything").exists() {
        println!("skipped: resource-agents is not installed");
        return;
    }
    let stage = Stage::new();
    let mut places = Places { ocf: root.into(), ..stage.places() };
    places.environment.push(("HA_RSCTMP".to_owned(), stage.path("").display().to_string()));
    let pid = stage.path("pid").display().to_string();
    let parameters = [("binfile", "/bin/sleep"), ("cmdline_options", "300"), ("pidfile", pid.as_str())];
    let parameters: Vec<_> = parameters.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let agent = Agent::Ocf { provider: "heartbeat".into(), name: "anything".into(), parameters };
    let try_it = |action| outcomes(places.clone(), vec![order(1, agent.clone(), action)]).remove(0);
    assert_eq!(try_it(Action::Status), Outcome::NotRunning);
    assert_eq!(try_it(Action::Start), Outcome::Done);
    assert_eq!(try_it(Action::Monitor), Outcome::Done);
    assert_eq!(try_it(Action::Stop), Outcome::Done);
    assert_eq!(try_it(Action::Status), Outcome::NotRunning);
}
