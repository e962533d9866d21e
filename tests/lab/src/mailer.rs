//! A `mail` for the OCF agent MailTo: it keeps what it is given, and says that it could not be sent.

#![expect(clippy::expect_used, clippy::missing_panics_doc, reason = "a test fails by panicking")]

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

/// What each node has for itself: where `mail` is looked for first, and where the agent notes that it has been started.
pub const PLACES: [&str; 2] = ["/usr/local/bin", "/run/resource-agents"];

const MAIL: &str = "#!/bin/sh\necho \"$@\" >> /usr/local/bin/mails\ncat > /usr/local/bin/text\nexit 1\n";

/// Puts it below `directory`, which a node sees as the first of [`PLACES`].
pub fn install(directory: &Path) {
    // As the package has systemd do at boot.
    fs::create_dir_all(PLACES[1]).expect("a directory can be made");
    let mail = directory.join("mail");
    fs::write(&mail, MAIL).expect("a file is written");
    fs::set_permissions(&mail, fs::Permissions::from_mode(0o755)).expect("its mode is set");
}

/// The words that `mail` was called with, for each mail.
pub fn mails(directory: &Path) -> Vec<String> {
    let text = fs::read_to_string(directory.join("mails")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Whether the mails of a node are these: `-s SUBJECT` up to the date, and the addressee.
pub fn are(mails: &[String], subjects: &[&str], to: &str) -> bool {
    let is = |(mail, subject): (&String, &&str)| mail.starts_with(&format!("-s {subject} at ")) && mail.ends_with(to);
    mails.len() == subjects.len() && mails.iter().zip(subjects).all(is)
}
