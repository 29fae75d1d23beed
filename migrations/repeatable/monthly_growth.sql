-- migrate:up requires:1.11.0
drop view if exists monthly_growth;
create view monthly_growth as
with monthly_downloads as (
  select date_trunc('month', download_at at time zone education_time_zone())::date as month,
         count(*) as downloads
    from download_logs
   group by 1
), every_month as (
  -- A month without downloads is a month with 0, not one that is left out of the comparison.
  select g::date as month, coalesce(d.downloads, 0) as downloads
    from (select min(month) as first, max(month) as last from monthly_downloads) span
   cross join generate_series(span.first, span.last, interval '1 month') g
    left join monthly_downloads d on d.month = g::date
)
select month,
       downloads,
       lag(downloads) over by_month as prev_month,
       round((downloads - lag(downloads) over by_month) * 100.0 / nullif(lag(downloads) over by_month, 0), 2) as growth_rate
  from every_month
window by_month as (order by month)
 order by month desc;

comment on view monthly_growth is 'Downloads by month and their growth over the month before, as far back as logs are kept.';
comment on column monthly_growth.growth_rate is 'Percent. Null for the first month and after a month without downloads.';

-- migrate:down
drop view monthly_growth;
