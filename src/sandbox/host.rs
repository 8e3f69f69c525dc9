//! What a handler works with: its region, the state that all regions share, and where callbacks go. The state is behind
//! the only lock of the simulator.

use super::api::Endpoint;
use super::callbacks::Callback;
use super::faults::LONGEST_HANG;
use super::serve::Reset;
use super::state::State;
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::mpsc::Sender;
use tokio::time::sleep;

/// One of the vendor's hosts.
#[derive(Clone, Default)]
pub(super) struct Host {
    pub(super) region: &'static str,
    pub(super) state: Arc<Mutex<State>>,
    callbacks: Option<Sender<Callback>>,
}

impl Host {
    /// A host whose callbacks go to that channel, if there is one.
    pub(super) fn new(callbacks: Option<Sender<Callback>>) -> Self {
        Self { callbacks, ..Self::default() }
    }

    /// The host of `region`, with the same state.
    pub(super) fn of(&self, region: &'static str) -> Self {
        Self { region, ..self.clone() }
    }

    /// Queues a callback; it is dropped if too many wait already.
    pub(super) fn call_back(&self, callback: Callback) {
        if let Some(callbacks) = &self.callbacks {
            let _ = callbacks.try_send(callback);
        }
    }

    /// Injects the fault that is set for this call, if there is one. An answer ends the call.
    pub(super) async fn inject_fault(&self, endpoint: Endpoint, id: Option<&str>) -> Option<Response> {
        let fault = self.state.lock().faults.take(self.region, endpoint, id)?;
        sleep(fault.delay()).await;
        if fault.revoke_tokens {
            self.state.lock().tokens.revoke(self.region);
        }
        if fault.hang {
            sleep(LONGEST_HANG).await;
        }
        if fault.hang || fault.reset { Some(Reset.into_response()) } else { fault.answer(id) }
    }
}
