//! A host gets its address, and uses it.

use super::{CLIENT, RESOLVER, Script, server, v4};
use crate::journey::model::DhcpOutcome;
use etherparse::PacketBuilder;
use std::net::Ipv4Addr;

const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 1);

impl Script {
    /// A DHCP message (RFC 2131, section 2); an answer gives [`CLIENT`] for an hour.
    fn dhcp(&mut self, out: bool, kind: u8) {
        let mut message = vec![if out { 1 } else { 2 }, 1, 6, 0, 0, 0, 0, 7];
        message.extend([0; 8]);
        message.extend(if out { [0; 4] } else { CLIENT.octets() });
        message.extend([0; 8]);
        message.extend([2; 6]);
        message.resize(236, 0);
        message.extend([99, 130, 83, 99, 53, 1, kind]);
        if !out {
            message.extend([51, 4, 0, 0, 0x0e, 0x10, 1, 4, 255, 255, 255, 0]);
            for (code, address) in [(54, GATEWAY), (3, GATEWAY), (6, RESOLVER)] {
                message.extend([code, 4]);
                message.extend(address.octets());
            }
        }
        message.push(255);
        let builder = match out {
            true => PacketBuilder::ethernet2([2; 6], [0xff; 6])
                .ipv4([0; 4], [255; 4], 64)
                .udp(68, 67),
            false => PacketBuilder::ethernet2([4; 6], [2; 6])
                .ipv4(GATEWAY.octets(), CLIENT.octets(), 64)
                .udp(67, 68),
        };
        let mut data = Vec::new();
        builder.write(&mut data, &message).unwrap();
        self.frame(out, None, data);
    }

    /// Discover, offer, request, ack.
    fn lease(&mut self) {
        for (out, kind) in [(true, 1), (false, 2), (true, 3), (false, 5)] {
            self.dhcp(out, kind);
        }
    }
}

#[test]
fn an_address_leased_in_the_capture_is_the_clients_own() {
    let mut script = Script::new(false);
    script.lease();
    let mut wire = script.connect(40_001, (server(1), 80));
    script.exchange(&mut wire, "www.shop.test", "/");
    let document = script.finish().document;
    let [exchange] = document.dhcp.as_slice() else {
        panic!("{:?}", document.dhcp)
    };
    let kinds: Vec<_> = exchange
        .messages
        .iter()
        .map(|it| it.kind.as_str())
        .collect();
    assert_eq!(kinds, ["discover", "offer", "request", "ack"]);
    assert_eq!(exchange.outcome, DhcpOutcome::Acknowledged);
    assert_eq!(exchange.transaction_id, 7);
    assert_eq!(exchange.client_mac.as_deref(), Some("02:02:02:02:02:02"));
    assert_eq!(exchange.server, Some(v4(GATEWAY)));
    assert_eq!(exchange.routers, [v4(GATEWAY)]);
    assert_eq!(exchange.dns, [v4(RESOLVER)]);
    assert_eq!(exchange.lease_ns, Some(3_600_000_000_000));
    let own = document.journeys[0].own_address.as_ref().unwrap();
    assert_eq!((own.ip, own.prefix_length), (v4(CLIENT), Some(24)));
    assert_eq!(own.lease.as_ref(), Some(&exchange.id));
    assert_eq!(own.mac, exchange.client_mac);
    assert_eq!(own.interface, None, "no interface was described");
}

#[test]
fn an_offer_nobody_took_gives_no_address() {
    let mut script = Script::new(false);
    script.dhcp(true, 1);
    script.dhcp(false, 2);
    let mut wire = script.connect(40_001, (server(1), 80));
    script.exchange(&mut wire, "www.shop.test", "/");
    let document = script.finish().document;
    assert_eq!(document.dhcp[0].outcome, DhcpOutcome::Offered);
    assert_eq!(document.journeys[0].own_address, None);
}

#[test]
fn a_live_capture_tells_exchanges_that_no_journey_needs() {
    let mut script = Script::new(true);
    script.lease();
    assert!(script.finished().is_empty());
    let exchanges = script.assembler.dhcp();
    assert_eq!(exchanges.len(), 1);
    assert_eq!(exchanges[0].address, Some(v4(CLIENT)));
}
