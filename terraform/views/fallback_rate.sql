SELECT
  DATE(received_at) AS day,
  COUNT(*) AS uploads,
  COUNTIF(fell_back) AS fallen_back,
  COUNTIF(fell_back) / COUNT(*) AS fallback_rate
FROM (
  SELECT
    received_at,
    ENDS_WITH(decision.rule, '-fallback') OR IFNULL(fallbacks, 0) > 0 AS fell_back
  FROM `${outcomes}`
  WHERE decision IS NOT NULL
)
GROUP BY day
