//! What is read of the kernel's messages, whatever bytes come.

use super::*;
use crate::message::{Request, messages};

const OURS: NfTable<'static> = NfTable { family: NfFamily::Ipv4, name: "ours" };

fn first(bytes: &[u8]) -> Message<'_> {
    messages(bytes).next().expect("a message")
}

#[test]
fn a_table_is_known_by_family_name_and_comment() {
    let mut batch = NfBatch::new();
    batch.add_table(OURS, "made by a test");
    let requests = batch.into_requests();
    let [_, table, _] = <[Request; 3]>::try_from(requests).expect("between begin and end");
    let bytes = table.finish(1);
    assert_eq!(read_table(first(&bytes), OURS).as_deref(), Some("made by a test"));
    assert_eq!(read_table(first(&bytes), NfTable { name: "other", ..OURS }), None);
    assert_eq!(read_table(first(&bytes), NfTable { family: NfFamily::Ipv6, ..OURS }), None);
}

#[test]
fn elements_are_read_as_they_were_written() {
    let keys = [[10, 0, 0, 1], [10, 0, 0, 2], [10, 0, 0, 3]];
    let mut batch = NfBatch::new();
    batch.add_elements(OURS, "set", keys.iter().map(|key| key.as_slice()));
    let requests = batch.into_requests();
    let [_, elements, _] = <[Request; 3]>::try_from(requests).expect("between begin and end");
    let bytes = elements.finish(1);
    assert_eq!(read_keys(first(&bytes).body).collect::<Vec<_>>(), keys);
}

#[test]
fn many_elements_are_split_into_messages_that_the_kernel_takes() {
    let keys: Vec<[u8; 24]> = (0..2500u32).map(|n| std::array::from_fn(|at| n.to_be_bytes()[at % 4])).collect();
    let mut batch = NfBatch::new();
    batch.add_elements(OURS, "set", keys.iter().map(|key| key.as_slice()));
    let requests = batch.into_requests();
    assert_eq!(requests.len(), 5);
    let read: Vec<Vec<u8>> = requests
        .into_iter()
        .flat_map(|request| read_keys(first(&request.finish(1)).body).collect::<Vec<_>>())
        .collect();
    assert_eq!(read, keys);
}

#[test]
fn cut_and_bent_messages_end_the_reading() {
    let mut batch = NfBatch::new();
    batch.add_table(OURS, "made by a test");
    batch.add_elements(OURS, "set", [[1, 2, 3, 4]].iter().map(|key| key.as_slice()));
    for request in batch.into_requests() {
        let good = request.finish(1);
        for at in 16..good.len() {
            for value in [0, 1, 3, 5, 0x7f, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                for message in messages(&bad) {
                    let _ = (read_table(message, OURS), is_taken(message, |_| true));
                    assert!(read_keys(message.body).count() <= 4);
                }
            }
        }
    }
}
