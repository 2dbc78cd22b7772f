# Serves who waits in the accept queue when SIGTERM comes: -C puma.rb.
drain_on_shutdown
