-- Inactive materials are the administrators' business. This migration hides them from everybody but the owner, the
-- next one lets the roles in.

-- migrate:up

-- FORCE: otherwise the owner, under whom many an application runs, would not notice a missing policy.
alter table materials enable row level security;
alter table materials force row level security;

create policy user_active_materials on materials for select to public using (is_active);

-- For an owner who is no superuser. Counters, refreshes and search_materials() run as the owner. The plain "true" is
-- recognised by the planner, which then may use any index: behind a real condition only leakproof operators may.
create policy owner_all_materials on materials for all to current_user using (true) with check (true);

comment on policy user_active_materials on materials is 'Everybody who may read materials sees the active ones.';
comment on policy owner_all_materials on materials is 'Triggers and functions of the owner see everything.';

-- migrate:down
drop policy owner_all_materials on materials;
drop policy user_active_materials on materials;
alter table materials no force row level security;
alter table materials disable row level security;
