//! How keepalived_exporter for Prometheus (and those that follow it) takes the dump files apart: lines by their
//! indentation, names before the first `=` or `:`, sections by a `:` at the end.

/// An instance as it is read from `keepalived.data`.
#[derive(Debug, Default)]
pub(crate) struct Instance {
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) interface: String,
    pub(crate) delay: u32,
    pub(crate) vrid: u8,
    addresses: Vec<String>,
}

impl Instance {
    /// Address and interface of each address: the first and the third word.
    pub(crate) fn places(&self) -> Vec<(String, String)> {
        let words = |line: &String| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        self.addresses.iter().map(words).map(|words| (words[0].clone(), words[2].clone())).collect()
    }
}

pub(crate) fn data(text: &str) -> Vec<Instance> {
    let mut all: Vec<Instance> = Vec::new();
    let (mut inside, mut key) = (false, String::new());
    for line in text.lines() {
        if let Some((_, name)) = line.strip_prefix(" VRRP Instance").and_then(|rest| rest.split_once('=')) {
            all.push(Instance { name: name.trim().to_owned(), ..Instance::default() });
            inside = true;
        } else if let (true, Some(instance), true) = (line.starts_with("   "), all.last_mut(), inside) {
            let mut value = line.trim().to_owned();
            if !line.starts_with("     ") {
                let Some((name, rest)) = line.split_once('=').or_else(|| line.split_once(':')) else { continue };
                (key, value) = (name.trim().to_owned(), rest.trim().to_owned());
            }
            match key.as_str() {
                "State" => {
                    assert!(["INIT", "BACKUP", "MASTER", "FAULT"].contains(&value.as_str()), "{value}");
                    instance.state = value;
                }
                "Interface" => instance.interface = value,
                "Gratuitous ARP delay" => instance.delay = value.parse().unwrap(),
                "Virtual Router ID" => instance.vrid = value.parse().unwrap(),
                key if key.starts_with("Virtual IP") && !value.is_empty() => instance.addresses.push(value),
                _ => {}
            }
        } else {
            inside = false;
        }
    }
    all
}

/// Name, status and state of each script.
pub(crate) fn scripts(text: &str) -> Vec<(String, String, String)> {
    let mut all: Vec<(String, String, String)> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        match line.split_once('=') {
            Some((" VRRP Script ", name)) => {
                all.push((name.trim().to_owned(), String::new(), String::new()));
                inside = true;
            }
            Some(("   Status ", value)) if inside => all.last_mut().unwrap().1 = value.trim().to_owned(),
            Some(("   State ", value)) if inside => all.last_mut().unwrap().2 = value.trim().to_owned(),
            _ => inside &= line.starts_with("   "),
        }
    }
    all
}

/// The counters of each instance, each with the section it stands in.
pub(crate) fn stats(text: &str) -> Vec<(String, Vec<(String, u64)>)> {
    let mut all: Vec<(String, Vec<(String, u64)>)> = Vec::new();
    let mut section = String::new();
    for line in text.lines() {
        if let Some((_, name)) = line.strip_prefix("VRRP Instance").and_then(|rest| rest.split_once(':')) {
            all.push((name.trim().to_owned(), Vec::new()));
        } else if let Some(name) = line.strip_suffix(':') {
            section = name.trim().to_owned();
        } else if let Some((name, value)) = line.split_once(':') {
            let section = if line.starts_with("    ") { section.as_str() } else { "" };
            let counter = (format!("{section}/{}", name.trim()), value.trim().parse().unwrap());
            all.last_mut().unwrap().1.push(counter);
        }
    }
    all
}
