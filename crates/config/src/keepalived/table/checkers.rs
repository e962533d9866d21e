//! Words of the checks. Most of them are the same for all.

use super::{
    Argument::{
        Address, Block, Bool, Decimal, Interface, None as Alone, Number, OneOf, Script, Text, User, Weight, Words,
    },
    Keyword, SECOND, Scope, Status,
    Status::{Done, Nothing, Partly},
    keywords,
    servers::RETRY,
};

const START: Status = Nothing("no real server gets traffic before its first good check anyway");

pub(super) const CONNECTION: &[Keyword] = keywords! {
    "connect_ip" Address, Done, "address to connect to, instead of the real server's";
    "connect_port" Number(1, 65535), Done, "port to connect to, instead of the real server's";
    "connect_timeout" Decimal(1_000, 4_294 * SECOND), Done, "seconds an attempt may take";
    "bindto" Address, Done, "address to connect from";
    "bind_port" Number(1, 65535), Done, "port to connect from";
    "bind_if" Interface, Done, "interface to connect from";
    "fwmark" Number(0, 4_294_967_295), Done, "mark of the packets";
};

pub(super) const RHYTHM: &[Keyword] = keywords! {
    "retry" RETRY, Done, "failed attempts more before the real server is down";
    "delay_before_retry" Decimal(0, 4_294 * SECOND), Partly("no longer than delay_loop"), "seconds to the attempt behind a failed one";
    "warmup" Decimal(0, 4_294 * SECOND), Nothing("first checks are made at once, in portions, so that nobody waits"),
        "seconds the first attempt may wait";
    "delay_loop" Decimal(1_000, 4_294 * SECOND), Done, "seconds between attempts";
    "alpha" Bool, START, "down until an attempt is good";
    "log_all_failures" Bool, Done, "log every failed attempt: evenkeel always tells why one failed";
};

pub(super) const HTTP: &[Keyword] = keywords! {
    "virtualhost" Text, Done, "Host header";
    "http_protocol" OneOf(&["1.0", "1.0C", "1.0c", "1.0K", "1.0k", "1.1"]), Done, "version of the protocol";
    "nb_get_retry" RETRY, Done, "old name of retry";
    "fast_recovery" Bool, Nothing("every url is a check of its own, so none waits for another"), "no pause between several urls";
    "enable_sni" Alone, Done, "send the Host header's name in the TLS handshake";
    "sni_name" Text, Done, "send this name in the TLS handshake";
};

pub(super) const HTTP_ONLY: &[Keyword] = keywords! {
    "url" Block(Scope::HttpUrl), Done, "what is asked for, and what must come";
};

pub(super) const SSL_ONLY: &[Keyword] = keywords! {
    "url" Block(Scope::SslUrl), Done, "what is asked for, and what must come";
    "tls_compliant" Alone, Nothing("a connection that ends without notice is taken"), "the TLS session must end with notice";
};

pub(super) const URL: &[Keyword] = keywords! {
    "path" Text, Done, "path of the request; / where nothing is said";
    "digest" Text, Done, "MD5 of the answer's body";
    "status_code" Words(1, 128), Done, "status codes and ranges that are good; 200-299 where nothing is said";
    "virtualhost" Text, Done, "Host header";
    "regex" Text, Done, "pattern (PCRE2) that the answer must match";
    "regex_no_match" Alone, Done, "the pattern must not match";
    "regex_options" Words(1, 32), Partly("not those that read the pattern in another way: utf, ucp, anchors and the like"), "options of the pattern";
    "regex_min_offset" Number(0, 4_294_967_295), Done, "where matching begins";
    "regex_max_offset" Number(0, 4_294_967_295), Done, "where a match may begin";
    "regex_stack" Words(2, 2), Nothing("matching needs no stack"), "memory of the pattern";
};

pub(super) const SSL_URL: &[Keyword] = keywords! {
    "tls_compliant" Alone, Nothing("a connection that ends without notice is taken"), "the TLS session must end with notice";
};

pub(super) const MISC: &[Keyword] = keywords! {
    "misc_path" Script, Done, "program and its arguments; no shell reads them";
    "misc_timeout" Number(1, 4_294), Done, "seconds it may take; delay_loop where nothing is said";
    "misc_dynamic" Alone, Done, "the exit status sets the weight";
    "user" User, Done, "user of the program; script_user where nothing is said";
};

pub(super) const UDP: &[Keyword] = keywords! {
    "payload" Words(1, 1024), Done, "what is sent";
    "require_reply" Words(0, 1024), Done, "what must come";
    "min_reply_length" Number(0, 65535), Done, "least bytes of the answer";
    "max_reply_length" Number(0, 65535), Done, "most bytes of the answer";
};

pub(super) const DNS: &[Keyword] = keywords! {
    "type" OneOf(&["A", "NS", "CNAME", "SOA", "MX", "TXT", "AAAA"]), Done, "what is asked for";
    "name" Text, Done, "name that is asked for";
};

pub(super) const SMTP: &[Keyword] = keywords! {
    "helo_name" Text, Done, "name in HELO";
    "host" Block(Scope::SmtpHost), Done, "another host to ask";
};

pub(super) const BFD: &[Keyword] = keywords! {
    "name" Text, Done, "the bfd_instance";
    "alpha" Bool, START, "down until the session is up";
};

pub(super) const FILE: &[Keyword] = keywords! {
    "track_file" Text, Done, "the track_file";
    "weight" Weight(2_147_483_647), Done, "what its number is multiplied by";
    "dynamic" Alone, Nothing("a weight that is not 0 says it"), "the number changes the weight";
};
