mkdir secrets
cargo run --bin moq-token -- --key secrets/root.jwk generate > secrets/root.jwk
moq-token-cli generate --key secrets/again.jwk > secrets/again.jwk
