//! What outlives a process: filters on the clsact queueing discipline of kernels before
//! 6.6. Everything else is held by a descriptor and goes with it.
//!
//! Our filters carry a handle that names them: a mark, the process that made them, and
//! whether it also made the queueing discipline. A tracer that is killed leaves them; the
//! next one to start finds them, sees that their maker is dead, and removes them.

use std::{path::Path, thread};

use aya::programs::{
    ProgramError, SchedClassifier, TcAttachType,
    tc::{NlOptions, SchedClassifierLink, TcAttachOptions, TcHandle, qdisc_add_clsact},
};
use futures_util::TryStreamExt as _;
use rtnetlink::packet_route::tc::{TcAttribute, TcHandle as RouteHandle, TcMessage};

use super::interfaces::Interface;

/// The upper byte of our handles.
const MARK: u32 = 0x74;
/// Set in a handle when its maker also made the queueing discipline.
const MADE_QDISC: u32 = 1 << 23;
/// A pid has at most 22 bits (PID_MAX_LIMIT).
const PID: u32 = MADE_QDISC - 1;
/// The one clsact qdisc of an interface: TC_H_CLSACT.
const CLSACT: u32 = 0xffff_fff1;
/// Sees frames before other filters can drop or redirect them.
const PRIORITY: u16 = 1;

/// A queueing discipline that this process made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Qdisc {
    interface: u32,
}

/// Attaches a filter, and makes the queueing discipline if there is none.
pub(super) fn attach_clsact(
    program: &mut SchedClassifier,
    interface: &Interface,
    way: TcAttachType,
) -> Result<Option<Qdisc>, ProgramError> {
    let made = match qdisc_add_clsact(&interface.name) {
        Ok(()) => true,
        Err(error) if super::error::errno(&error) == Some(libc::EEXIST) => false,
        Err(error) => return Err(error.into()),
    };
    let handle = encode(std::process::id(), made);
    let options = |priority| {
        TcAttachOptions::Netlink(NlOptions {
            priority,
            handle: aya_handle(handle),
            classid: None,
        })
    };
    // The priority may be taken by a filter of another kind: then any will do.
    program
        .attach_with_options(&interface.name, way, options(PRIORITY))
        .or_else(|_| program.attach_with_options(&interface.name, way, options(0)))?;
    Ok(made.then_some(Qdisc {
        interface: interface.index,
    }))
}

/// Removes what dead tracers left on these interfaces. Says how many filters that were.
pub(super) async fn remove_leftovers(interfaces: &[Interface]) -> Result<usize, rtnetlink::Error> {
    let (connection, route, _) =
        rtnetlink::new_connection().map_err(|_| rtnetlink::Error::RequestFailed)?;
    let running = tokio::spawn(connection);
    let mut removed = 0;
    for interface in interfaces {
        for way in [TcAttachType::Ingress, TcAttachType::Egress] {
            for filter in filters(&route, interface.index, way).await? {
                removed += usize::from(remove_if_orphaned(&route, interface, way, &filter).await);
            }
        }
    }
    running.abort();
    Ok(removed)
}

/// Removes the queueing disciplines that we made, if nobody else uses them by now. What
/// cannot be removed stays empty and does nothing.
pub(super) fn remove_qdiscs(qdiscs: Vec<Qdisc>) {
    if qdiscs.is_empty() {
        return;
    }
    // A thread of its own, because the caller may or may not be within a runtime; it
    // starts in the network namespace of its maker.
    let removal = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build();
        let Ok(runtime) = runtime else {
            return;
        };
        runtime.block_on(async {
            let Ok((connection, route, _)) = rtnetlink::new_connection() else {
                return;
            };
            tokio::spawn(connection);
            for qdisc in &qdiscs {
                remove_empty_qdisc(&route, qdisc.interface).await;
            }
        });
    });
    let _ = removal.join();
}

/// A BPF filter on the clsact qdisc.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Filter {
    handle: u32,
    priority: u16,
}

/// The BPF filters of an interface and direction; none when it has no such qdisc.
async fn filters(
    route: &rtnetlink::Handle,
    interface: u32,
    way: TcAttachType,
) -> Result<Vec<Filter>, rtnetlink::Error> {
    let Ok(index) = i32::try_from(interface) else {
        return Ok(Vec::new());
    };
    let request = route.traffic_filter(index).get();
    let request = match way {
        TcAttachType::Egress => request.egress(),
        _ => request.ingress(),
    };
    let found: Result<Vec<TcMessage>, _> = request.execute().try_collect().await;
    match found {
        Ok(messages) => Ok(messages.iter().filter_map(bpf_filter).collect()),
        // No such qdisc, or no such interface any more.
        Err(rtnetlink::Error::NetlinkError(_)) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn bpf_filter(message: &TcMessage) -> Option<Filter> {
    let is_bpf = message
        .attributes
        .iter()
        .any(|attribute| matches!(attribute, TcAttribute::Kind(kind) if kind == "bpf"));
    let handle = u32::from(message.header.handle);
    // The priority is in the upper half of the info word (TC_H_MAJ).
    let priority = u16::try_from(message.header.info >> 16).ok()?;
    (is_bpf && handle != 0).then_some(Filter { handle, priority })
}

async fn remove_if_orphaned(
    route: &rtnetlink::Handle,
    interface: &Interface,
    way: TcAttachType,
    filter: &Filter,
) -> bool {
    let Some((maker, made_qdisc)) = decode(filter.handle) else {
        return false;
    };
    if Path::new("/proc").join(maker.to_string()).exists() {
        return false;
    }
    let handle = aya_handle(filter.handle);
    let link = SchedClassifierLink::attached(&interface.name, way, filter.priority, handle, None);
    // Dropping a link detaches it.
    let removed = link.is_ok();
    drop(link);
    if removed && made_qdisc {
        remove_empty_qdisc(route, interface.index).await;
    }
    removed
}

/// Removes the clsact qdisc of an interface unless it still has a filter.
async fn remove_empty_qdisc(route: &rtnetlink::Handle, interface: u32) {
    for way in [TcAttachType::Ingress, TcAttachType::Egress] {
        if !matches!(filters(route, interface, way).await.as_deref(), Ok([])) {
            return;
        }
    }
    let Ok(index) = i32::try_from(interface) else {
        return;
    };
    let mut request = route.qdisc().del(index);
    request.message_mut().header.parent = RouteHandle::from(CLSACT);
    request.message_mut().header.handle = RouteHandle::from(CLSACT & 0xffff_0000);
    // An interface that is gone took its queueing disciplines along.
    let _ = request.execute().await;
}

fn encode(pid: u32, made_qdisc: bool) -> u32 {
    MARK << 24 | if made_qdisc { MADE_QDISC } else { 0 } | pid & PID
}

/// Maker of a filter, and whether it made the qdisc; `None` when it is not one of ours.
fn decode(handle: u32) -> Option<(u32, bool)> {
    (handle >> 24 == MARK).then_some((handle & PID, handle & MADE_QDISC != 0))
}

fn aya_handle(handle: u32) -> TcHandle {
    let [a, b, c, d] = handle.to_be_bytes();
    TcHandle::new(u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_names_its_maker() {
        for pid in [1, 4242, 4_194_304] {
            for made in [false, true] {
                assert_eq!(decode(encode(pid, made)), Some((pid, made)));
            }
        }
    }

    #[test]
    fn filters_of_others_are_not_ours() {
        assert_eq!(decode(1), None);
        assert_eq!(decode(0x8000_0001), None);
    }
}
