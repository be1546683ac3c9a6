# Generate key
moq-token --key root.jwk generate

# Sign a token
moq-token --key root.jwk sign \
  --root "rooms/meeting-123" \
  --publish "alice" \
  --subscribe "" \
  --expires 1735689600 > alice.jwt
