//! How many cells a service's list or table takes, as the layouts of `abi::List` say.

use evenkeel_abi::{
    CELL_LIMIT, LEVEL_CELLS, LIST_HEAD_CELLS,
    hash::{MH_SLOTS, SH_BUCKETS},
};
use evenkeel_dataplane::schedule::maglev;
use evenkeel_model::Scheduler;
use std::collections::BTreeMap;

/// Real servers of a service by weight: how many have each.
pub(crate) type Weights = BTreeMap<u32, u32>;

/// Real servers that a choice looks at.
const LIST_LIMIT: u64 = 65_536;

/// Real servers that wrr can count in `abi::Cursor`.
const WRR_LIMIT: u64 = 65_535;

/// Counts a real server of one weight out, and of another one in.
pub(crate) fn reweigh(weights: &mut Weights, from: Option<u32>, to: Option<u32>) {
    if let Some(count) = from.and_then(|weight| weights.get_mut(&weight)) {
        *count -= 1;
    }
    if let Some(weight) = to {
        *weights.entry(weight).or_default() += 1;
    }
    if let Some(weight) = from.filter(|weight| weights.get(weight) == Some(&0)) {
        weights.remove(&weight);
    }
}

/// Cells that a service of real servers of these weights takes. `Err`: no service may be like that.
pub(crate) fn cells_for(scheduler: Scheduler, weights: &Weights) -> Result<u32, String> {
    let usable = || weights.range(1..).rev();
    let count: u64 = usable().map(|(_, count)| u64::from(*count)).sum();
    let slots = |slots: u32| u64::from(slots.div_ceil(2));
    let cells = match scheduler {
        _ if count == 0 => 0,
        Scheduler::MaglevHash(_) => slots(MH_SLOTS),
        Scheduler::SourceHash(_) | Scheduler::DestinationHash => slots(SH_BUCKETS),
        Scheduler::Maglev => slots(maglev::SLOTS),
        Scheduler::RoundRobin => u64::from(LIST_HEAD_CELLS) + count,
        Scheduler::WeightedRoundRobin if count > WRR_LIMIT => {
            return Err(format!(
                "weighted round robin (wrr) takes at most {WRR_LIMIT} real servers in a service; rr, mh and maglev take more"
            ));
        }
        Scheduler::WeightedRoundRobin => {
            // Each level lists all whose weight reaches it.
            let mut reached = 0;
            let level = |(_, count): (&u32, &u32)| {
                reached += u64::from(*count);
                u64::from(LEVEL_CELLS) + reached
            };
            u64::from(LIST_HEAD_CELLS) + usable().map(level).sum::<u64>()
        }
        _ if count > LIST_LIMIT => {
            return Err(format!(
                "{scheduler} takes at most {LIST_LIMIT} real servers in a service; rr, mh and maglev take more"
            ));
        }
        Scheduler::LeastConnections
        | Scheduler::WeightedLeastConnections
        | Scheduler::ShortestExpectedDelay
        | Scheduler::NeverQueue
        | Scheduler::LocalityLeastConnections
        | Scheduler::LocalityLeastConnectionsReplicated
        | Scheduler::WeightedFailover
        | Scheduler::WeightedOverflow
        | Scheduler::PowerOfTwo => u64::from(LIST_HEAD_CELLS) + count,
    };
    Ok(u32::try_from(cells).unwrap_or(CELL_LIMIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_usable_takes_no_cells() {
        let quiesced = Weights::from([(0, 3)]);
        for scheduler in Scheduler::ALL {
            assert_eq!(cells_for(scheduler, &quiesced), Ok(0));
        }
    }

    #[test]
    fn each_level_of_wrr_lists_all_that_reach_it() {
        let weights = Weights::from([(0, 1), (1, 2), (5, 1)]);
        assert_eq!(cells_for(Scheduler::WeightedRoundRobin, &weights), Ok(1 + (2 + 1) + (2 + 3)));
        assert_eq!(cells_for(Scheduler::RoundRobin, &weights), Ok(1 + 3));
    }

    #[test]
    fn weights_are_counted_in_and_out() {
        let mut weights = Weights::new();
        reweigh(&mut weights, None, Some(3));
        reweigh(&mut weights, None, Some(3));
        reweigh(&mut weights, Some(3), Some(0));
        assert_eq!(weights, Weights::from([(0, 1), (3, 1)]));
        reweigh(&mut weights, Some(3), Some(3));
        reweigh(&mut weights, Some(0), None);
        assert_eq!(weights, Weights::from([(3, 1)]));
    }
}
