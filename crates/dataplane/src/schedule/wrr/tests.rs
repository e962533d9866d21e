use super::*;

fn shares(weights: &[u32], count: usize) -> Vec<usize> {
    let mut cursor = adjust(Cursor::default(), weights);
    let mut shares = vec![0; weights.len()];
    for _ in 0..count {
        let (index, next) = choose(weights, cursor).unwrap();
        shares[index] += 1;
        cursor = next;
    }
    shares
}

#[test]
fn every_round_gives_each_its_weight() {
    assert_eq!(shares(&[3, 2, 1], 600), [300, 200, 100]);
    assert_eq!(shares(&[4, 2], 300), [200, 100]);
    assert_eq!(shares(&[90, 60, 30], 600), [300, 200, 100]);
    assert_eq!(shares(&[7], 10), [10]);
    assert_eq!(shares(&[0x7fff_ffff, 0x7fff_ffff], 10), [5, 5]);
}

#[test]
fn nobody_is_chosen_from_nobody() {
    assert_eq!(choose(&[], Cursor { position: 3, weight: 9 }), None);
    assert_eq!(rounds(&[]), Rounds { step: 1, largest: 0 });
}

#[test]
fn a_change_goes_back_to_the_head_and_keeps_the_round_where_it_can() {
    let at = |position, weight| Cursor { position, weight };
    assert_eq!(adjust(at(2, 2), &[3, 2, 1]), at(0, 2));
    assert_eq!(adjust(at(2, 0), &[3, 2, 1]), at(0, 3));
    assert_eq!(adjust(at(2, 5), &[3, 2, 1]), at(0, 3));
    // g 10, mw 31: 20 counts as 21, so that the round of the twenties is not left out.
    assert_eq!(adjust(at(1, 20), &[40, 20, 10]), at(0, 21));
    assert_eq!(adjust(at(1, 9), &[]), at(0, 0));
}

#[test]
fn the_scan_ends_from_every_place() {
    for position in 0..5 {
        for weight in 0..12 {
            let (index, next) = choose(&[6, 4, 8], Cursor { position, weight }).unwrap();
            assert_eq!(next.position, index + 1);
            assert!(weight == 0 || (1..=weight.max(7)).contains(&next.weight), "cw {}", next.weight);
        }
    }
}

#[test]
fn walking_the_levels_is_choosing() {
    for weights in [vec![3, 2, 1], vec![1, 2, 3], vec![5], vec![4, 0, 8, 4], vec![100, 1, 7, 7, 30], vec![6, 6, 6]] {
        let levels = levels(&weights);
        let Rounds { step, largest } = rounds(&weights);
        let mut cursor = adjust(Cursor::default(), &weights);
        let (mut cw, mut level, mut position) = (cursor.weight, level_of(&levels, cursor.weight), 0);
        for _ in 0..400 {
            if position == levels[level].members.len() {
                (position, cw) = (0, if cw > step { cw - step } else { largest });
                level = level_of(&levels, cw);
            }
            let (index, next) = choose(&weights, cursor).unwrap();
            assert_eq!((levels[level].members[position], cw), (index, next.weight), "{weights:?}");
            (position, cursor) = (position + 1, next);
        }
    }
}
