<?php
// Publishes an alert, with PHP's own streams.
$url = (getenv('ZONECAST_URL') ?: 'http://127.0.0.1:3001') . '/api/v1/warehouses/warehouse-1/zones/zone-a/broadcast';
$context = stream_context_create(['http' => [
    'method' => 'POST',
    'header' => [
        'Content-Type: application/json',
        'Authorization: Bearer ' . getenv('PUBLISH_KEY'),
        'Idempotency-Key: ' . (getenv('EVENT_ID') ?: 'alert-7'), // makes trying again safe
    ],
    'content' => json_encode(['event' => 'ALERT', 'data' => ['id' => '7', 'severity' => 'warning', 'title' => 'Conveyor 3 stopped']]),
    'timeout' => 10,
    'ignore_errors' => true,
]]);
for ($attempt = 0; ; $attempt++) {
    $http_response_header = [];
    $answer = @file_get_contents($url, false, $context);
    $status = (int) (explode(' ', $http_response_header[0] ?? '')[1] ?? 0); // 0: nobody answered
    if ($status === 200) {
        echo $answer, "\n";
        exit(0);
    }
    if (!in_array($status, [0, 429, 502, 503, 504], true) || $attempt === 5) {
        fwrite(STDERR, $answer ?: "no answer from $url\n"); // says what to change
        exit(1);
    }
    $wait = preg_grep('/^Retry-After:/i', $http_response_header);
    sleep($wait ? (int) substr(end($wait), 12) : 1);
}
