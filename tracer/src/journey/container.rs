//! Which container a cgroup belongs to, by the names that container engines give.

use super::model::Container;

/// Bytes of a full container id: 64 hexadecimal digits (a SHA-256 sum or as many random
/// digits) with Docker, containerd, CRI-O and Podman.
const FULL_ID: usize = 64;

/// Prefixes of the systemd scopes that hold one container each, `PREFIX-ID.scope`.
const SCOPES: [(&str, &str); 4] = [
    ("docker", "docker"),
    ("cri-containerd", "containerd"),
    ("crio", "cri-o"),
    ("libpod", "podman"),
];

/// Folders of the cgroupfs driver that hold a folder per container, named by its id.
const FOLDERS: [(&str, &str); 2] = [("docker", "docker"), ("libpod_parent", "podman")];

/// The innermost container that `cgroup`, a path of the cgroup hierarchy, lies in. None when
/// nothing in the path has the name of a container.
pub(super) fn of_cgroup(cgroup: &str) -> Option<Container> {
    let parts: Vec<&str> = cgroup.split('/').collect();
    (0..parts.len()).rev().find_map(|place| {
        let (engine, id) = named(&parts, place)?;
        Some(Container {
            id: id.to_owned(),
            engine: engine.map(str::to_owned),
            pod: parts.iter().take(place).rev().find_map(|part| pod(part)),
        })
    })
}

/// Engine, where the name tells it, and id of the container that is this part of a path.
fn named<'a>(parts: &[&'a str], place: usize) -> Option<(Option<&'static str>, &'a str)> {
    let part = *parts.get(place)?;
    let scope = part.strip_suffix(".scope").unwrap_or(part);
    let by_scope = SCOPES.iter().find_map(|(prefix, engine)| {
        let id = scope.strip_prefix(prefix)?.strip_prefix('-')?;
        is_id(id).then_some((Some(*engine), id))
    });
    if by_scope.is_some() {
        return by_scope;
    }
    if !is_id(part) {
        return None;
    }
    let folder = *parts.get(place.checked_sub(1)?)?;
    let known = FOLDERS.iter().find(|(name, _)| *name == folder);
    match known {
        Some((_, engine)) => Some((Some(*engine), part)),
        // The cgroupfs driver of a kubelet names no engine: /kubepods/burstable/podUID/ID.
        None => pod(folder).map(|_| (None, part)),
    }
}

fn is_id(text: &str) -> bool {
    text.len() == FULL_ID
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The pod's UID: `podUID`, or in systemd's spelling `kubepods-burstable-podUID.slice`, where
/// a hyphen would begin another level and is an underscore therefore.
fn pod(part: &str) -> Option<String> {
    let (text, systemd) = match part.strip_suffix(".slice") {
        Some(slice) => (slice.strip_prefix("kubepods")?.rsplit_once("-pod")?.1, true),
        None => (part.strip_prefix("pod")?, false),
    };
    let uid = if systemd {
        text.replace('_', "-")
    } else {
        text.to_owned()
    };
    let plausible = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    (!uid.is_empty() && uid.bytes().all(plausible)).then_some(uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f4a1c0de5b6978877665544332211000123456789abcdef0123456789abcdef";
    const POD: &str = "8d3f9a52-6c1b-4e0f-9a7d-0123456789ab";

    fn check(path: &str, engine: Option<&str>, pod: Option<&str>) {
        let found = of_cgroup(&path.replace("ID", ID)).expect(path);
        assert_eq!(found.id, ID, "{path}");
        assert_eq!(found.engine.as_deref(), engine, "{path}");
        assert_eq!(found.pod.as_deref(), pod, "{path}");
    }

    #[test]
    fn each_engine_is_known_by_its_names() {
        check("/system.slice/docker-ID.scope", Some("docker"), None);
        check("/docker/ID", Some("docker"), None);
        check(
            "/machine.slice/libpod-ID.scope/container",
            Some("podman"),
            None,
        );
        check("/libpod_parent/ID", Some("podman"), None);
        check("/default/crio-ID.scope", Some("cri-o"), None);
    }

    #[test]
    fn a_container_of_kubernetes_names_its_pod() {
        let slice = POD.replace('-', "_");
        let systemd = format!(
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{slice}.slice/cri-containerd-ID.scope"
        );
        check(&systemd, Some("containerd"), Some(POD));
        check(
            &format!("/kubepods/besteffort/pod{POD}/ID"),
            None,
            Some(POD),
        );
    }

    #[test]
    fn the_innermost_container_counts() {
        let outer = "0".repeat(FULL_ID);
        check(&format!("/docker/{outer}/docker/ID"), Some("docker"), None);
    }

    #[test]
    fn what_has_no_containers_name_is_none() {
        let long = "a".repeat(FULL_ID + 1);
        for path in [
            "",
            "/",
            "/user.slice/user-1000.slice/session-2.scope",
            "/system.slice/docker.service",
            "/docker/short",
            &format!("/{ID}"),
            &format!("/docker/{long}"),
            &format!("/system.slice/docker-{}.scope", ID.to_uppercase()),
        ] {
            assert_eq!(of_cgroup(path), None, "{path}");
        }
    }
}
