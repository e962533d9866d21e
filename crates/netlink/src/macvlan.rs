//! Interfaces with a MAC address of their own on top of another one (macvlan), and the word that says whose they are.

use crate::{
    error::Error,
    link::{CREATE, IFINFO, ifinfo},
    mac::MacAddress,
    message::{Request, attributes, text},
    socket::Netlink,
};

const IFLA_MACVLAN_MODE: u16 = 1;
/// Nothing passes between this one and others on the same interface.
const PRIVATE: u32 = 1;

impl Netlink {
    /// Makes a macvlan in private mode on interface `below`. It is down. The kernel loads the module.
    pub fn create_macvlan(&mut self, name: &str, below: u32, mac: MacAddress) -> Result<(), Error> {
        let request = Request::new(libc::RTM_NEWLINK, CREATE, &[0; IFINFO])
            .text(libc::IFLA_IFNAME, name)
            .u32(libc::IFLA_LINK, below)
            .attribute(libc::IFLA_ADDRESS, &mac.0)
            .nested(libc::IFLA_LINKINFO, |info| {
                info.text(libc::IFLA_INFO_KIND, "macvlan")
                    .nested(libc::IFLA_INFO_DATA, |data| data.u32(IFLA_MACVLAN_MODE, PRIVATE))
            });
        let made = self.change(&format!("create the macvlan interface {name}"), request);
        made.map_err(|e| {
            let hint = e.is_unsupported().then(|| "this kernel has no macvlan".to_owned());
            e.with_hint(hint)
        })
    }

    /// Writes the alias of an interface: a remark that the kernel keeps with it.
    pub fn set_alias(&mut self, index: u32, alias: &str) -> Result<(), Error> {
        let request = Request::new(libc::RTM_NEWLINK, libc::NLM_F_ACK, &ifinfo(index, 0, 0));
        let request = request.attribute(libc::IFLA_IFALIAS, alias.as_bytes());
        self.change(&format!("set the alias of interface {index}"), request)
    }

    /// The alias of an interface; `None` where it has none or is not there.
    pub fn alias(&mut self, index: u32) -> Result<Option<String>, Error> {
        let request = Request::new(libc::RTM_GETLINK, libc::NLM_F_ACK, &ifinfo(index, 0, 0));
        let read = |kind: &(u16, &[u8])| kind.0 == libc::IFLA_IFALIAS;
        let found = self.ask(&format!("read the alias of interface {index}"), request, |m| {
            Some(attributes(m.body, IFINFO).find(read).and_then(|(_, value)| text(value)))
        });
        match found {
            Ok(alias) => Ok(alias),
            Err(e) if e.is_missing() => Ok(None),
            Err(e) => Err(e),
        }
    }
}
