# Create a token that can publish and subscribe to everything
moq-token --key secret.jwk sign \
--root "" \
--publish "" \
--subscribe "" \
--cluster \
> cluster.jwt
