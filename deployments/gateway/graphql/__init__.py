"""GraphQL at `/graphql`: what the REST routes do, asked for in one document."""
