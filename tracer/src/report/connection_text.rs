//! Connections as they stand in the lines of their journeys.
//!
//! A line of a kept-alive connection differs from the next one only in the exchange and the
//! samples of its journey. All else is written once and copied into each: it was a third of
//! what a line took.

use crate::journey::model::{
    Close, Comment, Connection, Drop, End, Endpoint, Handshake, HttpExchange, Journey, KernelPath,
    PerEnd, Process, Quic, Reset, Retransmission, StateTransition, TcpSample, Tls, Transport,
    ZeroWindow,
};
use foldhash::fast::RandomState;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use std::collections::HashMap;
use std::fmt;

/// The connections of a part whose lines share text, by their ids.
#[derive(Debug, Default)]
pub struct ConnectionTexts<'a> {
    shared: HashMap<&'a str, Members, RandomState>,
}

impl<'a> ConnectionTexts<'a> {
    /// `connection` in the line of `journey`, with the exchanges `http` of it: see
    /// [`OwnConnection`].
    ///
    /// # Errors
    /// None that a model could lead to.
    pub fn of(
        &mut self,
        connection: &'a Connection,
        journey: &Journey,
        http: &'a [HttpExchange],
    ) -> serde_json::Result<Box<RawValue>> {
        let samples = samples_of(connection, journey);
        if connection.http.len() < 2 {
            return to_raw_value(&OwnConnection::of(connection, samples, http));
        }
        let members = match self.shared.get(connection.id.as_str()) {
            Some(members) => members,
            None => {
                let text = serde_json::to_string(&OwnConnection::of(connection, &[], &[]))?;
                let members = serde_json::from_str(&text)?;
                self.shared.entry(&connection.id).or_insert(members)
            }
        };
        to_raw_value(&Filled {
            members,
            samples,
            http,
        })
    }
}

/// The members of a JSON object in their order, their values as text.
#[derive(Debug)]
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// A connection with the samples and exchanges of one journey in their places.
struct Filled<'a> {
    members: &'a Members,
    samples: &'a [TcpSample],
    http: &'a [HttpExchange],
}

impl Serialize for Filled<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Members(members) = self.members;
        let mut object = serializer.serialize_map(Some(members.len()))?;
        for (name, value) in members {
            match name.as_str() {
                "tcp_samples" => object.serialize_entry(name, self.samples)?,
                "http" => object.serialize_entry(name, self.http)?,
                _ => object.serialize_entry(name, value)?,
            }
        }
        object.end()
    }
}

/// A connection without the exchanges and samples of other journeys: with them, the lines of
/// a long keep-alive connection would grow with the square of its requests. The members are
/// those of [`Connection`], which a test sees to.
#[derive(Debug, serde::Serialize)]
struct OwnConnection<'a> {
    id: &'a str,
    transport: Transport,
    client: Endpoint,
    server: Endpoint,
    interface: Option<&'a str>,
    client_process: Option<&'a Process>,
    server_process: Option<&'a Process>,
    client_readers: &'a [Process],
    server_readers: &'a [Process],
    client_writers: Option<&'a [Process]>,
    server_writers: Option<&'a [Process]>,
    handshake: &'a Handshake,
    states: &'a [StateTransition],
    bytes: PerEnd,
    segments: PerEnd,
    retransmissions: &'a [Retransmission],
    retransmissions_unlisted: u64,
    srtt_ns: Option<u64>,
    drops: &'a [Drop],
    tcp_samples: &'a [TcpSample],
    resets: &'a [Reset],
    zero_windows: &'a [ZeroWindow],
    #[serde(skip_serializing_if = "<[Comment]>::is_empty")]
    comments: &'a [Comment],
    close: &'a Close,
    kernel_path: Option<&'a KernelPath>,
    requester: End,
    quic: Option<&'a Quic>,
    tls: Option<&'a Tls>,
    http: &'a [HttpExchange],
}

impl<'a> OwnConnection<'a> {
    /// `samples` and `http`: those of its journey, the latter if this connection carried it.
    fn of(connection: &'a Connection, samples: &'a [TcpSample], http: &'a [HttpExchange]) -> Self {
        Self {
            id: &connection.id,
            transport: connection.transport,
            client: connection.client,
            server: connection.server,
            interface: connection.interface.as_deref(),
            client_process: connection.client_process.as_ref(),
            server_process: connection.server_process.as_ref(),
            client_readers: &connection.client_readers,
            server_readers: &connection.server_readers,
            client_writers: connection.client_writers.as_deref(),
            server_writers: connection.server_writers.as_deref(),
            handshake: &connection.handshake,
            states: &connection.states,
            bytes: connection.bytes,
            segments: connection.segments,
            retransmissions: &connection.retransmissions,
            retransmissions_unlisted: connection.retransmissions_unlisted,
            srtt_ns: connection.srtt_ns,
            drops: &connection.drops,
            tcp_samples: samples,
            resets: &connection.resets,
            zero_windows: &connection.zero_windows,
            comments: &connection.comments,
            close: &connection.close,
            kernel_path: connection.kernel_path.as_ref(),
            requester: connection.requester,
            quic: connection.quic.as_deref(),
            tls: connection.tls.as_deref(),
            http,
        }
    }
}

/// The samples of a journey's time, of the first one on a connection also those before. They
/// are in time order.
fn samples_of<'a>(connection: &'a Connection, journey: &Journey) -> &'a [TcpSample] {
    let end_ns = journey.started_at_ns.saturating_add(journey.duration_ns);
    let samples = &connection.tcp_samples;
    let begin = match journey.reused_connection {
        true => samples.partition_point(|sample| sample.at_ns < journey.started_at_ns),
        false => 0,
    };
    let end = samples.partition_point(|sample| sample.at_ns <= end_ns);
    samples.get(begin..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{ConnectionTexts, OwnConnection, samples_of};
    use crate::journey::model::{Journey, TcpSample};
    use crate::report::examples;

    /// Where a journey leaves nothing out of a connection, the text is the same.
    #[test]
    fn a_line_has_every_member_of_the_documents_connection() {
        let mut document = examples::shop();
        let journey = document.journeys.remove(0);
        let mut seen = 0;
        for mut connection in document.connections {
            connection.http.truncate(1);
            let http = connection.http.clone();
            let samples = samples_of(&connection, &journey).to_vec();
            let own = OwnConnection::of(&connection, &samples, &http);
            let text = serde_json::to_string(&own).expect("JSON");
            seen += samples.len();
            connection.tcp_samples = samples.clone();
            assert_eq!(text, serde_json::to_string(&connection).expect("JSON"));
        }
        assert!(seen > 0, "no sample to leave out or not");
    }

    /// One at the end of a journey.
    fn sample(journey: &Journey) -> TcpSample {
        let shop = examples::shop();
        let mut sample = shop
            .connections
            .into_iter()
            .flat_map(|it| it.tcp_samples)
            .next()
            .expect("a sample");
        sample.at_ns = journey.started_at_ns + journey.duration_ns;
        sample
    }

    /// Every journey of a connection, the first of which makes the text that all share.
    #[test]
    fn text_that_is_shared_is_that_of_each_line_by_itself() {
        let document = examples::reused();
        let mut connection = document.connections[0].clone();
        connection.tcp_samples = vec![sample(&document.journeys[0]), sample(&document.journeys[1])];
        let connection = &connection;
        let mut texts = ConnectionTexts::default();
        for (journey, http) in document.journeys.iter().zip(&connection.http) {
            let http = std::slice::from_ref(http);
            let samples = samples_of(connection, journey);
            assert_eq!(samples, [sample(journey)]);
            let alone = OwnConnection::of(connection, samples, http);
            let shared = texts.of(connection, journey, http).expect("JSON");
            assert_eq!(shared.get(), serde_json::to_string(&alone).expect("JSON"));
        }
    }
}
