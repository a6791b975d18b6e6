//! TLS and HTTP of real captures, compared with what tshark says of them.

mod support;

use tracer::journey::tls::{KeyLog, analyse};

#[test]
fn dump() {
    let name = std::env::var("DUMP").unwrap_or("lab/curl-h2.pcap".into());
    let keys = if std::env::var("NOKEYS").is_ok() {
        KeyLog::default()
    } else {
        support::key_log(&name)
    };
    for stream in support::tcp_streams(&name) {
        println!(
            "{:?} -> {:?} {} {}",
            stream.client,
            stream.server,
            stream.from_client.len(),
            stream.from_server.len()
        );
        if let Some(analysis) = analyse(&stream.from_client, &stream.from_server, &keys) {
            println!(
                "{}",
                serde_json::to_string_pretty(&analysis.session).unwrap()
            );
            println!(
                "{:?} {:?}",
                analysis.client_application_data, analysis.server_application_data
            );
            for plain in [analysis.client_plaintext, analysis.server_plaintext]
                .into_iter()
                .flatten()
            {
                println!(
                    "{} {:?}",
                    plain.len(),
                    String::from_utf8_lossy(plain.as_slice())
                        .chars()
                        .take(300)
                        .collect::<String>()
                );
            }
        }
    }
}
