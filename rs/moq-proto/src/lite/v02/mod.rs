//! The layouts born in moq-lite-02. Spec: moq-lite-02, "SUBSCRIBE_OK".

mod subscribe_ok;

pub(super) use subscribe_ok::REPLY;
