//! Addresses that a master holds and does not accept packets for (`no_accept`; Accept_Mode of RFC 9568 6.1), as elements
//! of sets in a table of nf_tables that is ours. An element is there before its address and goes after it. What a killed
//! daemon has left stays as long as its address; a table that somebody else has changed is made anew.
//!
//! Packets of virtual services never meet the table: they are taken before the host's firewall. Those that this host
//! answers itself do, and are let through.

mod table;

use crate::elections::Elections;
use evenkeel_model::vrrp::{self, Instance};
use evenkeel_netlink::{Address, Error, NfFamily, NfMonitor, NfTables};
use evenkeel_vrrp::Place;
use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
};
pub(crate) use table::Key;
use table::Layout;

/// What of one family is closed.
#[derive(Debug)]
struct Side {
    layout: Layout,
    /// Some instance may close an address of this family.
    wanted: bool,
    /// The table is there.
    made: bool,
    of: HashMap<Place, BTreeSet<Key>>,
    /// Elements of a former run, or of another daemon, that nobody has asked for here.
    left: BTreeSet<Key>,
}

impl Side {
    fn new(family: NfFamily) -> Side {
        let layout = Layout { family, firewall: vrrp::Firewall::default(), answered: Vec::new() };
        Side { layout, wanted: false, made: false, of: HashMap::new(), left: BTreeSet::new() }
    }

    fn held(&self) -> BTreeSet<Key> {
        self.of.values().flatten().copied().collect()
    }

    /// Has a table that looks so from now on.
    fn configure(&mut self, tables: &mut NfTables, wanted: bool, layout: Layout) -> Result<(), String> {
        self.wanted = wanted;
        let before = std::mem::replace(&mut self.layout, layout);
        if !self.made {
            return if wanted { self.make(tables) } else { Ok(()) };
        }
        if before == self.layout {
            return Ok(());
        }
        let moves = before.table() != self.layout.table();
        if moves {
            self.left.extend(before.keys(tables)?);
        }
        if let Err(why) = self.make(tables) {
            self.layout = before;
            return Err(why);
        }
        let deleted = if moves { tables.commit("delete a table of nf_tables", before.none()) } else { Ok(()) };
        deleted.or_else(|e| if e.is_missing() { Ok(()) } else { Err(words(&e)) })
    }

    /// Takes over the table of a former run where none is wanted.
    fn adopt(&mut self, tables: &mut NfTables) -> Result<(), String> {
        if !self.wanted && self.layout.find(tables)? {
            self.made = true;
            self.left = self.layout.keys(tables)?;
        }
        Ok(())
    }

    /// Makes the table from nothing, in one step, with what the one that is there closes.
    fn make(&mut self, tables: &mut NfTables) -> Result<(), String> {
        let there = self.layout.find(tables)?;
        if there {
            self.left.extend(self.layout.keys(tables)?);
        }
        let held = self.held();
        self.left.retain(|key| !held.contains(key));
        let elements = held.union(&self.left).copied().collect();
        tables.commit("make a table of nf_tables", self.layout.whole(there, &elements)).map_err(|e| words(&e))?;
        self.made = true;
        Ok(())
    }

    /// Whether the table is as it was made.
    fn is_whole(&self, tables: &mut NfTables) -> Result<bool, String> {
        if !self.layout.find(tables)? {
            return Ok(false);
        }
        let rules = tables.rules(self.layout.table()).map_err(|e| words(&e))?;
        Ok(rules == self.layout.rules().len() && self.layout.keys(tables)?.is_superset(&self.held()))
    }

    /// Closes exactly these for `place` from now on; `opened`: those of its addresses that are not to be closed,
    /// whoever has closed them.
    fn close(
        &mut self,
        tables: &mut NfTables,
        place: Place,
        keys: BTreeSet<Key>,
        opened: &BTreeSet<Key>,
    ) -> Result<(), String> {
        let before = self.of.remove(&place).unwrap_or_default();
        let others = self.held();
        let mut gone: BTreeSet<Key> = before.difference(&keys).copied().collect();
        gone.extend(self.left.intersection(opened));
        gone.retain(|key| !others.contains(key));
        self.left.retain(|key| !keys.contains(key) && !gone.contains(key));
        let new: BTreeSet<Key> = keys.difference(&before).copied().collect();
        if !keys.is_empty() {
            self.of.insert(place, keys);
        }
        if !self.made && !new.is_empty() {
            return self.make(tables);
        }
        self.change(tables, &new, &gone)
    }

    fn change(&mut self, tables: &mut NfTables, new: &BTreeSet<Key>, gone: &BTreeSet<Key>) -> Result<(), String> {
        if self.made && !(new.is_empty() && gone.is_empty()) {
            match tables.commit("change what is closed", self.layout.change(new, gone)) {
                // Somebody has taken a part of it: nothing was done.
                Err(e) if e.is_missing() => {
                    self.make(tables)?;
                    // What was to go and was still there is among what is left.
                    let rest: BTreeSet<Key> = self.left.intersection(gone).copied().collect();
                    self.left.retain(|key| !rest.contains(key));
                    let change = self.layout.change(&BTreeSet::new(), &rest);
                    tables.commit("change what is closed", change).map_err(|e| words(&e))?;
                }
                other => other.map_err(|e| words(&e))?,
            }
        }
        self.settle(tables)
    }

    /// Deletes a table that nobody needs.
    fn settle(&mut self, tables: &mut NfTables) -> Result<(), String> {
        let needed = self.wanted || !self.of.is_empty() || !self.left.is_empty();
        if needed { Ok(()) } else { self.delete(tables) }
    }

    /// Opens what was left and whose address is not on the host any more.
    fn look(&mut self, tables: &mut NfTables, addresses: &[Address]) -> Result<(), String> {
        if !self.made {
            return Ok(());
        }
        let there = |key: &Key| addresses.iter().any(|known| Key::new(known.address, known.ifindex) == *key);
        let gone: BTreeSet<Key> = self.left.iter().filter(|key| !there(key)).copied().collect();
        self.left.retain(|key| !gone.contains(key));
        self.change(tables, &BTreeSet::new(), &gone)
    }

    fn delete(&mut self, tables: &mut NfTables) -> Result<(), String> {
        if !std::mem::take(&mut self.made) {
            return Ok(());
        }
        match tables.commit("delete a table of nf_tables", self.layout.none()) {
            Err(e) if e.is_missing() => Ok(()),
            other => other.map_err(|e| words(&e)),
        }
    }
}

/// What a kernel says that has no nf_tables differs; the sentence does not.
fn words(e: &Error) -> String {
    if e.lacks_nf_tables() {
        return "packets to addresses with `no_accept` are taken: this kernel has no nf_tables.  Next: load the module \
                nf_tables, or write `accept`"
            .to_owned();
    }
    format!("packets to addresses with `no_accept` may be taken: cannot {e}")
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Closed {
    /// Once there is something to close.
    ways: Option<(NfTables, NfMonitor)>,
    sides: [Side; 2],
    /// A former run may have left a table.
    fresh: bool,
    told: Vec<String>,
}

impl Closed {
    pub(crate) fn new() -> Closed {
        let sides = [NfFamily::Ipv4, NfFamily::Ipv6].map(Side::new);
        Closed { ways: None, sides, fresh: true, told: Vec::new() }
    }

    /// Can close what `wanted` does not accept from now on; gives what to listen to where there is something new.
    pub(crate) fn configure(&mut self, wanted: &vrrp::Elections) -> Result<Option<&NfMonitor>, String> {
        let closed = |ipv6: bool| {
            let mut closed = wanted.instances.iter().filter(|instance| instance.is_closed());
            closed.any(|instance| instance.vips().any(|vip| vip.address.is_ipv6() == ipv6))
        };
        let families = [closed(false), closed(true)];
        let fresh = std::mem::take(&mut self.fresh);
        let mut begins = false;
        if self.ways.is_none() {
            if families == [false; 2] && !fresh {
                return Ok(None);
            }
            let opened = NfTables::open().and_then(|tables| Ok((tables, NfMonitor::open()?)));
            match opened {
                Ok(opened) => self.ways = Some(opened),
                // Whoever closes nothing needs no nf_tables.
                Err(_) if families == [false; 2] => return Ok(None),
                Err(e) => return Err(words(&e)),
            }
            begins = true;
        }
        let Some((tables, _)) = &mut self.ways else { return Ok(None) };
        for (side, wants) in self.sides.iter_mut().zip(families) {
            let (firewall, answered) = (wanted.firewall.clone(), wanted.answered.clone());
            side.configure(tables, wants, Layout { family: side.layout.family, firewall, answered })?;
            if fresh {
                // A kernel without nf_tables has none to take over.
                let _ = side.adopt(tables);
            } else {
                side.settle(tables)?;
            }
        }
        if self.sides.iter().all(|side| !side.made) {
            self.ways = None;
            return Ok(None);
        }
        Ok(self.ways.as_ref().map(|(_, monitor)| monitor).filter(|_| begins))
    }

    /// Closes the addresses of an instance, or does not: those it holds from now on, each with the index of its
    /// interface.
    pub(crate) fn hold(&mut self, place: Place, instance: &Instance, addresses: impl Iterator<Item = (IpAddr, u32)>) {
        let keys: BTreeSet<Key> = addresses.map(|(address, ifindex)| Key::new(address, ifindex)).collect();
        let none = BTreeSet::new();
        let (closed, opened) = if instance.is_closed() { (&keys, &none) } else { (&none, &keys) };
        self.each(|side, tables| {
            let of = |keys: &BTreeSet<Key>| keys.iter().filter(|key| side.has(key)).copied().collect();
            let (closed, opened): (BTreeSet<Key>, BTreeSet<Key>) = (of(closed), of(opened));
            side.close(tables, place, closed, &opened)
        });
    }

    /// Nothing is held at `place` any more.
    pub(crate) fn release(&mut self, place: Place) {
        self.each(|side, tables| side.close(tables, place, BTreeSet::new(), &BTreeSet::new()));
    }

    /// What a former run has closed is open where its address is not on the host any more.
    pub(crate) fn look(&mut self, addresses: &[Address]) {
        self.each(|side, tables| side.look(tables, addresses));
    }

    /// Something was changed, perhaps a table of ours.
    fn hear(&mut self) {
        let Some((_, monitor)) = &mut self.ways else { return };
        let names: BTreeSet<&str> = self.sides.iter().map(|side| side.layout.firewall.table.as_str()).collect();
        match monitor.takes(|name| names.contains(name)) {
            Ok(true) => {}
            Ok(false) => return,
            Err(e) => return self.told.push(words(&e)),
        }
        let mut told = Vec::new();
        self.each(|side, tables| {
            if side.made && !side.is_whole(tables)? {
                side.make(tables)?;
                let name = &side.layout.firewall.table;
                told.push(format!("somebody has changed the nftables table {name}, which is made anew"));
            }
            Ok(())
        });
        self.told.extend(told);
    }

    /// Deletes the tables, at an orderly end.
    fn end(&mut self) {
        self.each(Side::delete);
    }

    /// What did not work since the last time.
    pub(crate) fn told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }

    fn each(&mut self, mut work: impl FnMut(&mut Side, &mut NfTables) -> Result<(), String>) {
        let Some((tables, _)) = &mut self.ways else { return };
        for side in &mut self.sides {
            self.told.extend(work(side, tables).err());
        }
    }
}

impl Side {
    fn has(&self, key: &Key) -> bool {
        key.address.is_ipv6() == (self.layout.family == NfFamily::Ipv6)
    }
}

impl Elections {
    /// The tables of nf_tables that `wanted` needs.
    pub(crate) fn configure_closed(&mut self, wanted: &vrrp::Elections) -> Result<(), String> {
        match self.addresses.closed.configure(wanted)? {
            Some(monitor) => self.events.add(monitor, KEY),
            None => Ok(()),
        }
    }

    /// Something was changed, perhaps a table of ours.
    pub(crate) fn hear_closed(&mut self) {
        self.addresses.closed.hear();
        self.tell_of_closed();
    }

    /// What a former run has closed is open where its address is gone.
    pub(crate) fn sweep_closed(&mut self) {
        self.addresses.closed.look(&self.links.addresses);
        self.tell_of_closed();
    }

    /// Nothing is closed any more, at an orderly end.
    pub(crate) fn open_all(&mut self) {
        self.addresses.closed.end();
        self.tell_of_closed();
    }

    fn tell_of_closed(&mut self) {
        let told = self.addresses.closed.told();
        self.complain_of(told);
    }
}

/// What the loop waits for the tables' changes under.
pub(crate) const KEY: u64 = u64::MAX - 3;
