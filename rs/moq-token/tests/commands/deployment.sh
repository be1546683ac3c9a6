mkdir -p secrets

# Generate root key
cargo run --bin moq-token -- --key secrets/root.jwk generate

# Generate cluster token (for relay-to-relay auth)
cargo run --bin moq-token -- --key secrets/root.jwk sign \
  --publish "" --subscribe "" --cluster > secrets/cluster.jwt

# Generate demo publisher token
cargo run --bin moq-token -- --key secrets/root.jwk sign \
  --root "demo" --publish "" > secrets/demo-pub.jwt
