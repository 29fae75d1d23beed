-- migrate:up

-- Lists of a category, newest first. Also serves the foreign key to categories.
create index idx_materials_category_active_created on materials (category_id, is_active, created_at desc);

-- Lists in the order of titles, and what begins with a word in them.
create index idx_materials_active_title on materials (title) where is_active;

-- The front page: newest active materials, and the few that are featured.
create index idx_materials_active_created on materials (created_at desc) where is_active;
create index idx_materials_featured on materials (created_at desc) where is_featured and is_active;

-- The foreign key to users, and "what did this person upload".
create index idx_materials_uploaded_by on materials (uploaded_by);

-- migrate:down
drop index idx_materials_uploaded_by;
drop index idx_materials_featured;
drop index idx_materials_active_created;
drop index idx_materials_active_title;
drop index idx_materials_category_active_created;
