//! What a server logs: through slog and through `tracing`, the same.

use std::fmt::{Arguments, Debug};
use std::sync::{Arc, Mutex};

use ash_net::{Auth, Connector};
use slog::{Drain, KV, Key, Logger, Never, OwnedKVList, Record, Serializer, o};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Metadata, Subscriber};

use crate::support::*;

/// Lines of a level, a message, and keys with their values.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<String>>>);

impl Kept {
    fn keep(&self, level: &str, message: &str, values: &str) {
        self.0.lock().unwrap().push(format!("{level} {message}{values}"));
    }

    /// Returns the lines, those about a client without its port.
    fn lines(&self) -> Vec<String> {
        let without = |word: &&str| !word.starts_with("peer=");
        let shorten = |line: &String| line.split(' ').filter(without).collect::<Vec<_>>().join(" ");
        self.0.lock().unwrap().iter().map(shorten).collect()
    }
}

struct Values(Vec<String>);

impl Serializer for Values {
    fn emit_arguments(&mut self, key: Key, value: &Arguments<'_>) -> slog::Result {
        self.0.push(format!(" {key}={value}"));
        Ok(())
    }
}

impl Drain for Kept {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, _: &OwnedKVList) -> Result<(), Never> {
        let mut values = Values(Vec::new());
        record.kv().serialize(record, &mut values).unwrap();
        // slog gives the last one first.
        values.0.reverse();
        self.keep(record.level().as_str(), &record.msg().to_string(), &values.0.concat());
        Ok(())
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    values: String,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.values.push_str(&format!(" {}={value:?}", field.name()));
        }
    }
}

impl Subscriber for Kept {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "ash_flare::net"
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        self.keep(event.metadata().level().as_str(), &fields.message, &fields.values);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn tracing_is_told_what_slog_is_told_of_connections() {
    let (slogged, traced) = (Kept::default(), Kept::default());
    let _listening = tracing::subscriber::set_default(traced.clone());
    let handle = start(tree()).await;
    let (right, wrong) = (Auth::secret([1; 32]).unwrap(), Auth::secret([2; 32]).unwrap());
    let logger = Logger::root(slogged.clone().fuse(), o!());
    let server = server(&handle).with_logger(&logger).with_auth(right.clone());
    let bound = server.bind_tcp("127.0.0.1:0").await.unwrap();
    let address = bound.local_addr();
    let serving = tokio::spawn(bound.serve());
    let connector = Connector::tcp(address.to_string()).with_logger(&logger);
    connector.clone().with_auth(wrong).connect().await.unwrap_err();
    let remote = connector.with_auth(right).connect().await.unwrap();
    remote.shutdown().await.unwrap();
    serving.await.unwrap().unwrap();
    let lost = format!("INFO connection to a supervisor lost address={address}");
    while !traced.lines().contains(&lost) {
        tokio::task::yield_now().await;
    }
    let told = traced.lines();
    assert_eq!(
        told,
        [
            "INFO client refused reason=the client did not prove that it knows a secret",
            "DEBUG client connected access=admin supervisor=app",
            lost.as_str(),
        ]
    );
    // slog leaves debug out of release builds.
    let wanted =
        told.into_iter().filter(|line| cfg!(debug_assertions) || !line.starts_with("DEBUG"));
    assert_eq!(slogged.lines(), wanted.collect::<Vec<_>>());
}
