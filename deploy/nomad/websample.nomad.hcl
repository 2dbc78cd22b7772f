# Rolling updates by Nomad: a new allocation is healthy before an old one is stopped.
job "websample" {
  group "web" {
    count = 2

    update {
      max_parallel     = 1
      health_check     = "checks"
      min_healthy_time = "5s"
      auto_revert      = true
    }

    network {
      port "http" { to = 5000 }
      port "admin" { to = 9000 }
    }

    service {
      name     = "web"
      port     = "http"
      provider = "nomad"

      check {
        type     = "http"
        port     = "admin"
        path     = "/readiness"
        interval = "1s"
        timeout  = "1s"
      }
    }

    # Nomad takes the service out of its registry before the signal; the lame duck is what covers the
    # time in which clients and proxies have not heard of that yet. A delay here would only add to it.
    shutdown_delay = "0s"

    task "web" {
      driver      = "docker"
      kill_signal = "SIGTERM"
      # The default is 5s. At least grace_period; the client's max_kill_timeout is 30s by default.
      kill_timeout = "30s"

      config {
        image = "websample:v1"
        ports = ["http", "admin"]
      }

      env {
        WEBSAMPLE_GRACE_PERIOD = "30s"
        WEBSAMPLE_DELAY__MIN   = "5s"
      }
    }
  }
}
