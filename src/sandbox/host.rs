//! What a handler works with: the region it speaks for, the books all regions share, and the way to callbacks. The only
//! lock of the simulator.

use super::api::Endpoint;
use super::books::Books;
use super::callbacks::Callback;
use super::faults::LONGEST_HANG;
use super::serve::Reset;
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::mpsc::Sender;
use tokio::time::sleep;

/// One of the vendor's hosts.
#[derive(Clone, Default)]
pub(super) struct Host {
    pub(super) region: &'static str,
    pub(super) books: Arc<Mutex<Books>>,
    callbacks: Option<Sender<Callback>>,
}

impl Host {
    /// A host whose callbacks are sent by whoever receives them, if anybody does.
    pub(super) fn new(callbacks: Option<Sender<Callback>>) -> Self {
        Self { callbacks, ..Self::default() }
    }

    /// The host of `region`, with the same books.
    pub(super) fn of(&self, region: &'static str) -> Self {
        Self { region, ..self.clone() }
    }

    /// Has a callback sent. It is not sent if too many wait already.
    pub(super) fn call_back(&self, callback: Callback) {
        if let Some(callbacks) = &self.callbacks {
            let _ = callbacks.try_send(callback);
        }
    }

    /// Lets the fault that is set for this call happen; an answer ends the call.
    pub(super) async fn strike(&self, endpoint: Endpoint, id: Option<&str>) -> Option<Response> {
        let fault = self.books.lock().faults.take(self.region, endpoint, id)?;
        sleep(fault.delay()).await;
        if fault.revoke_tokens {
            self.books.lock().tokens.revoke(self.region);
        }
        if fault.hang {
            sleep(LONGEST_HANG).await;
        }
        if fault.hang || fault.reset { Some(Reset.into_response()) } else { fault.answer(id) }
    }
}
