"""Alembic's entry: runs the migrations on the connection that ``paylink.schema`` hands over."""

from alembic import context

from paylink.schema import metadata, ours

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    include_object=ours,
    render_as_batch=connection.dialect.name == "sqlite",
    transactional_ddl=True,
    user_module_prefix="db.",
)
with context.begin_transaction():
    context.run_migrations()
if connection.in_transaction():
    connection.commit()
