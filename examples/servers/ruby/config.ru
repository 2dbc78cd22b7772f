# A Rack application for puma and unicorn: GET / answers at once, GET /sleep/N after N seconds.
VERSION = ENV.fetch('VERSION', 'unknown')

run lambda { |env|
  seconds = env['PATH_INFO'][%r{\A/sleep/([\d.]+)\z}, 1]
  sleep([seconds.to_f, 60].min) if seconds
  [200, { 'Content-Type' => 'text/plain', 'Content-Length' => VERSION.bytesize.to_s }, [VERSION]]
}
