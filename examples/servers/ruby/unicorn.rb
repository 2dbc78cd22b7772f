# unicorn has no option for this: -c unicorn.rb.
worker_processes 4
