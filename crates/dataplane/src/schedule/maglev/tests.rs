use super::*;

const SECRET: Secret = Secret { first: 0x1234_5678_9abc_def0, second: 0x0fed_cba9_8765_4321 };

fn members(weights: &[u32]) -> Vec<Member> {
    let address = |i: usize| SocketAddr::from(([10, 0, (i >> 8) as u8, i as u8], 80));
    weights.iter().enumerate().map(|(i, weight)| Member::new(address(i), *weight)).collect()
}

fn shares(table: &[u32], members: usize) -> Vec<usize> {
    let mut shares = vec![0; members];
    table.iter().filter(|slot| **slot != CELL_EMPTY).for_each(|slot| shares[*slot as usize] += 1);
    shares
}

/// Percentage of slots for which `moved` holds, of those for which `counts` does.
fn percent(old: &[u32], new: &[u32], counts: impl Fn(u32) -> bool) -> f64 {
    let pairs = old.iter().zip(new).filter(|(old, _)| counts(**old));
    let (all, moved) = pairs.fold((0, 0), |(all, moved), (old, new)| (all + 1, moved + u32::from(old != new)));
    100.0 * f64::from(moved) / f64::from(all)
}

#[test]
fn equal_weights_get_equal_shares() {
    for count in [1, 2, 3, 16, 50] {
        let shares = shares(&table(&members(&vec![3; count]), SECRET), count);
        assert_eq!(shares.iter().sum::<usize>(), SLOTS as usize);
        let spread = shares.iter().max().unwrap() - shares.iter().min().unwrap();
        assert!(spread as f64 / (SLOTS as usize / count) as f64 <= 0.001, "{count}: {spread}");
    }
}

#[test]
fn shares_follow_the_weights() {
    let weights = [100, 50, 25, 1];
    let shares = shares(&table(&members(&weights), SECRET), weights.len());
    for (share, weight) in shares.iter().zip(weights) {
        let exact = f64::from(SLOTS) * f64::from(weight) / 176.0;
        assert!((*share as f64 - exact).abs() <= 2.0, "weight {weight}: {share} slots, exactly {exact}");
    }
}

#[test]
fn the_smallest_weight_is_not_forgotten() {
    let shares = shares(&table(&members(&[0x7fff_ffff, 1]), SECRET), 2);
    assert_eq!(shares, [SLOTS as usize - 1, 1]);
}

#[test]
fn the_quiesced_have_no_slots_and_nobody_leaves_the_table_empty() {
    let shares = shares(&table(&members(&[1, 0, 1]), SECRET), 3);
    assert_eq!(shares[1], 0);
    assert!(table(&members(&[0, 0]), SECRET).iter().all(|slot| *slot == CELL_EMPTY));
}

#[test]
fn the_order_of_the_list_does_not_matter() {
    let mut members = members(&[1, 2, 3, 2, 9]);
    let by_address = |members: &[Member]| -> Vec<SocketAddr> {
        table(members, SECRET).iter().map(|slot| members[*slot as usize].address).collect()
    };
    let before = by_address(&members);
    members.reverse();
    assert!(before == by_address(&members));
    members.swap(0, 2);
    assert!(before == by_address(&members));
}

#[test]
fn another_secret_gives_another_table() {
    let members = members(&[1; 8]);
    let other = Secret { first: SECRET.first ^ 1, ..SECRET };
    assert!(percent(&table(&members, SECRET), &table(&members, other), |_| true) > 80.0);
}

#[test]
fn who_leaves_takes_few_slots_of_the_others_along() {
    for (count, limit) in [(16, 0.4), (64, 0.45)] {
        let old = table(&members(&vec![1; count]), SECRET);
        let moved = |gone: usize| {
            let mut weights = vec![1; count];
            weights[gone] = 0;
            percent(&old, &table(&members(&weights), SECRET), |slot| slot != gone as u32)
        };
        let all: Vec<f64> = (0..count).map(moved).collect();
        let (mean, worst) = (all.iter().sum::<f64>() / count as f64, all.iter().copied().fold(0.0, f64::max));
        assert!(mean <= limit && worst <= 2.0 * limit, "{count}: mean {mean} %, worst {worst} %");
    }
}

#[test]
fn one_of_a_thousand_comes_or_goes_and_less_than_half_a_percent_moves() {
    let weights = vec![1; 1001];
    let all = table(&members(&weights), SECRET);
    for changed in [0, 1, 250, 500, 999, 1000] {
        let mut weights = weights.clone();
        weights[changed] = 0;
        let without = table(&members(&weights), SECRET);
        let moved = percent(&without, &all, |_| true);
        // The least possible is 0.1 %.
        assert!(moved < 0.5, "{changed}: {moved} %");
    }
}

#[test]
fn a_thousand_equal_ones_differ_by_one_slot() {
    let shares = shares(&table(&members(&[7; 1000]), SECRET), 1000);
    assert!(shares.iter().all(|share| (65..=66).contains(share)));
}

#[test]
fn the_light_get_their_share_beside_one_that_is_much_heavier() {
    for heavy in [1_000, 1_000_000] {
        let mut weights = vec![1; 999];
        weights.push(heavy);
        let shares = shares(&table(&members(&weights), SECRET), weights.len());
        let sum = f64::from(999 + heavy);
        assert_eq!(shares.iter().sum::<usize>(), SLOTS as usize);
        for share in &shares[..999] {
            let exact = f64::from(SLOTS) / sum;
            assert!((*share as f64 - exact).abs() <= 1.0 && *share > 0, "{heavy}: {share} slots, exactly {exact}");
        }
    }
}

#[test]
fn a_doubled_weight_moves_little_more_than_it_must() {
    let mut weights = vec![1; 16];
    let old = table(&members(&weights), SECRET);
    weights[5] = 2;
    let moved = percent(&old, &table(&members(&weights), SECRET), |_| true);
    // The least possible is 5.51 %.
    assert!(moved <= 6.2, "{moved} %");
}
