//! Routes and rules as somebody wrote them, made into messages once and sent as often as need be: what is in the way
//! of an election must not build anything.

mod route;
mod rule;

pub(crate) use rule::protocol as rule_protocol;

use crate::{
    error::Error,
    message::{Request, family},
    socket::Netlink,
};
use evenkeel_model::{Prefix, vrrp};
use std::{fmt, net::IpAddr};

/// A route or rule, ready to be added and deleted.
#[derive(Debug)]
pub struct Order {
    what: String,
    add: Vec<u8>,
    delete: Vec<u8>,
}

impl Order {
    /// That `route` be there. `index` knows the interfaces of the host; without one of those that the route names there
    /// is no order, but the name.
    pub fn route(route: &vrrp::Route, index: impl Fn(&str) -> Option<u32>) -> Result<Order, String> {
        let hops: Vec<_> = route.hops.iter().map(|hop| route::resolve(hop, &index)).collect::<Result<_, _>>()?;
        let of = |change| route::request(route, &hops, change).finish(0);
        Ok(Order { what: format!("route {route}"), add: of(Change::Add), delete: of(Change::Delete) })
    }

    /// That `rule` be there.
    pub fn rule(rule: &vrrp::Rule) -> Order {
        let of = |change| rule::request(rule, change).finish(0);
        Order { what: format!("rule {rule}"), add: of(Change::Add), delete: of(Change::Delete) }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// What becomes of a route or rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Add,
    Delete,
}

impl Netlink {
    /// Adds what `order` says; an equal one that is there already is an error ([`Error::is_exists`]).
    pub fn add(&mut self, order: &mut Order) -> Result<(), Error> {
        self.exchange_bytes(&("add", &order.what), &mut order.add, |_| ()).map(|_| ())
    }

    /// Deletes what `order` says. What others made is not touched: the protocol number tells.
    pub fn delete(&mut self, order: &mut Order) -> Result<(), Error> {
        self.exchange_bytes(&("delete", &order.what), &mut order.delete, |_| ()).map(|_| ())
    }
}

/// The kernel's number of a prefix' family, and its length.
fn head(prefix: Prefix) -> (u8, u8) {
    (family(prefix.address()), prefix.length())
}

/// An address or prefix; one of no bits needs no attribute.
fn prefix(request: Request, kind: u16, prefix: Prefix) -> Request {
    if prefix.length() == 0 { request } else { request.address(kind, prefix.address()) }
}

fn address(request: Request, kind: u16, address: Option<IpAddr>) -> Request {
    match address {
        Some(address) => request.address(kind, address),
        None => request,
    }
}

fn number(request: Request, kind: u16, value: Option<u32>) -> Request {
    match value {
        Some(value) => request.u32(kind, value),
        None => request,
    }
}

fn byte(request: Request, kind: u16, value: Option<u8>) -> Request {
    match value {
        Some(value) => request.attribute(kind, &[value]),
        None => request,
    }
}
